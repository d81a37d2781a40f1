"""What is stored with a trade is of the candle of its signal, and of its first fill."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
from freqtrade.enums import RunMode

from perp_imbalance.indicators import PRESETS
from perp_imbalance.strategy.stored_entry import SETTINGS_KEY, SIGNAL_KEY, StoredEntries

PLACED = datetime(2025, 3, 1, 12, 0, 1, tzinfo=UTC)
# The order was placed on the candle of 11:00, and filled when that of 12:00 was over, too.
ROWS = {
    "date": pd.date_range("2025-03-01 10:00", periods=3, freq="h", tz="UTC"),
    **{name: [1.0, 2.0, 3.0] for name in ("z", "premium", "premium_pct", "deviation_bps", "close")},
    **{"bias": [0, 1, 0], "enter_tag": [None, "long_zone_z", None], "enter_long": [0, 1, 0]},
}


def filled(stored: dict[str, Any], version: str, side: str = "buy") -> None:
    """Tell a strategy of a version that an order of a long was filled."""
    trade = SimpleNamespace(
        entry_side="buy",
        trade_direction="long",
        get_custom_data=stored.get,
        set_custom_data=stored.__setitem__,
    )
    strategy = SimpleNamespace(
        config={"runmode": RunMode.DRY_RUN},
        timeframe="1h",
        started=PLACED,
        entry_settings=lambda: {"version": version},
        thresholds=lambda: PRESETS["aggressive"],
        dp=SimpleNamespace(get_analyzed_dataframe=lambda *names: (pd.DataFrame(ROWS), PLACED)),
    )
    order = SimpleNamespace(ft_order_side=side, order_date_utc=PLACED)
    StoredEntries.order_filled(
        cast("Any", strategy), "X", cast("Any", trade), cast("Any", order), PLACED
    )


def test_order_that_is_filled_late_has_the_candle_of_its_signal() -> None:
    stored: dict[str, Any] = {}
    filled(stored, "1")
    assert stored[SIGNAL_KEY]["candle"] == "2025-03-01T11:00:00+00:00"
    assert (stored[SIGNAL_KEY]["z"], stored[SIGNAL_KEY]["signal"]) == (2.0, "long_zone_z")


def test_later_fills_change_nothing() -> None:
    stored: dict[str, Any] = {}
    filled(stored, "1", side="sell")
    assert stored == {}
    filled(stored, "1")
    filled(stored, "2")
    assert stored[SETTINGS_KEY]["version"] == "1"

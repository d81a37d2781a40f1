"""Leverage, scale-out, protections and late entries, as freqtrade itself acts on them."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from freqtrade.enums import RunMode
from freqtrade.persistence import (
    LocalTrade,
    PairLocks,
    disable_database_use,
    enable_database_use,
)
from freqtrade.resolvers import StrategyResolver
from freqtrade.strategy import IStrategy
from freqtrade.wallets import PositionWallet
from support.freqtrade import (
    ROOT,
    Freqtrade,
    assert_fails_in_one_line,
    backtest_trades,
)

from perp_imbalance.strategy.order_rules import SCALE_OUT_TAG

STRATEGY = "PerpImbalanceAggressive"
HOUR = pd.Timedelta("1h")
SPAN = ("--timerange", "20250910-20251010")
PAIR = "BTC/USDT:USDT"


def traded(freqtrade: Freqtrade, datadir: Path, userdir: Path, **config: Any) -> pd.DataFrame:
    """Return a month of backtested trades."""
    process = freqtrade(
        "backtesting", "--strategy", STRATEGY, *SPAN, datadir=datadir, overlay=config
    )
    assert process.returncode == 0, process.stderr
    trades = backtest_trades(userdir)[STRATEGY]
    dates = {name: pd.to_datetime(trades[name], utc=True) for name in ("open_date", "close_date")}
    return trades.assign(**dates).sort_values(["pair", "open_date"], ignore_index=True)


@pytest.fixture
def plain(freqtrade: Freqtrade, sample_datadir: Path, tmp_path: Path) -> pd.DataFrame:
    return traded(freqtrade, sample_datadir, tmp_path / "user_data")


def parts(trades: pd.DataFrame) -> pd.DataFrame:
    """Return the orders that closed part of a position, with the date of their trade."""
    rows = []
    for trade in trades.to_dict("records"):
        of_trade = {name: trade[name] for name in ("pair", "open_date")}
        of_trade["amount_entered"] = trade["orders"][0]["amount"]
        closing = [order for order in trade["orders"] if order["ft_order_tag"] == SCALE_OUT_TAG]
        rows += [{**order, **of_trade} for order in closing]
    return pd.DataFrame(rows)


@pytest.mark.freqtrade
def test_scale_out_closes_half_and_changes_no_signal(
    freqtrade: Freqtrade, sample_datadir: Path, tmp_path: Path, plain: pd.DataFrame
) -> None:
    settings = {"scale_out": 0.5}
    scaled = traded(freqtrade, sample_datadir, tmp_path / "user_data", perp_imbalance=settings)
    same = ["pair", "is_short", "open_date", "close_date", "exit_reason"]
    pd.testing.assert_frame_equal(scaled[same], plain[same])
    assert set(plain["leverage"]) == {1.0}
    closed = parts(scaled)
    assert len(closed) >= 3
    assert parts(plain).empty
    share = closed["amount"] / closed["amount_entered"]
    assert share.between(0.48, 0.5).all()
    # Never in the candle of the entry, never twice in a trade.
    dates = pd.to_datetime(closed["order_filled_timestamp"], unit="ms", utc=True)
    assert (dates > closed["open_date"]).all()
    assert not closed.duplicated(["pair", "open_date"]).any()


@pytest.mark.freqtrade
def test_leverage_is_capped_by_the_exchange(
    freqtrade: Freqtrade, sample_datadir: Path, tmp_path: Path
) -> None:
    settings = {"leverage": 150.0}
    found = traded(freqtrade, sample_datadir, tmp_path / "user_data", perp_imbalance=settings)
    assert found["leverage"].between(20, 200).all()


@pytest.mark.freqtrade
def test_protections_of_the_config_act_in_a_backtest(
    freqtrade: Freqtrade, sample_datadir: Path, tmp_path: Path, plain: pd.DataFrame
) -> None:
    def shortest_rest(trades: pd.DataFrame) -> pd.Timedelta:
        rests = trades["open_date"] - trades.groupby("pair")["close_date"].shift()
        return pd.Timedelta(rests.min())

    cooldown = [{"method": "CooldownPeriod", "stop_duration_candles": 1}]
    cooled = traded(
        freqtrade, sample_datadir, tmp_path / "user_data", perp_imbalance={"protections": cooldown}
    )
    assert shortest_rest(plain) == pd.Timedelta(0)
    assert shortest_rest(cooled) > HOUR


@pytest.mark.freqtrade
def test_wrong_protection_is_refused_in_one_line(
    freqtrade: Freqtrade, sample_datadir: Path
) -> None:
    wrong = {"protections": [{"method": "Cooldown"}]}
    process = freqtrade(
        *("backtesting", "--strategy", STRATEGY, *SPAN),
        datadir=sample_datadir,
        overlay={"perp_imbalance": wrong},
    )
    assert_fails_in_one_line(process, "Cooldown")


class Analysed:
    """A data provider that has analysed one candle with an entry signal."""

    def __init__(self, **signal: Any) -> None:
        row = {"date": pd.Timestamp("2025-03-01 12:00", tz="UTC"), "close": 100.0, **signal}
        self.dataframe = pd.DataFrame([row])

    def get_analyzed_dataframe(self, pair: str, timeframe: str) -> tuple[pd.DataFrame, None]:
        return self.dataframe, None


@pytest.fixture
def strategy(tmp_path: Path) -> Iterator[IStrategy]:
    """The strategy with one signal: enter short after 12:00, with locks that need no database."""
    folder = tmp_path / "strategies"
    shutil.copytree(ROOT / "strategies", folder, ignore=shutil.ignore_patterns("__pycache__"))
    strategy = StrategyResolver.load_strategy(
        {
            **{"strategy": STRATEGY, "strategy_path": str(folder), "user_data_dir": tmp_path},
            **{"runmode": RunMode.BACKTEST, "trading_mode": "futures", "timeframe": "1h"},
        }
    )
    strategy.dp = Analysed(enter_short=1, enter_long=0, enter_tag="short_zone_z")
    disable_database_use("1h")
    PairLocks.reset_locks()
    yield strategy
    enable_database_use()


def confirmed(strategy: IStrategy, seconds: float, rate: float = 100.0, **changes: Any) -> bool:
    """Ask for an entry so many seconds after the close of the signal's candle."""
    arguments = {
        **{"order_type": "limit", "amount": 1.0, "time_in_force": "GTC", "side": "short"},
        **{"entry_tag": "short_zone_z", **changes},
    }
    now = pd.Timestamp("2025-03-01 13:00", tz="UTC") + timedelta(seconds=seconds)
    return bool(
        strategy.confirm_trade_entry(
            pair=PAIR, rate=rate, current_time=now.to_pydatetime(), **arguments
        )
    )


def is_locked(strategy: IStrategy, candle: str, side: str) -> bool:
    date = pd.Timestamp(candle, tz="UTC").to_pydatetime()
    return bool(strategy.is_pair_locked(PAIR, candle_date=date, side=side))


@pytest.mark.parametrize(("allowed", "leverage"), [(50.0, 3.0), (2.0, 2.0)])
def test_leverage_is_that_of_the_config_as_far_as_allowed(
    strategy: IStrategy, allowed: float, leverage: float
) -> None:
    strategy.settings = strategy.settings.model_copy(update={"leverage": 3.0})
    now = pd.Timestamp("2025-03-01 13:00", tz="UTC").to_pydatetime()
    found = strategy.leverage(PAIR, now, 100.0, 1.0, allowed, "long_zone_z", "long")
    assert found == leverage


@pytest.mark.parametrize("rate", [99.1, 100.0, 101.1, 140.0])
def test_entry_in_time_at_its_price_or_better_is_confirmed(
    strategy: IStrategy, rate: float
) -> None:
    assert confirmed(strategy, seconds=100, rate=rate)
    assert PairLocks.get_all_locks() == []


@pytest.mark.parametrize("late", [{"seconds": 130.0}, {"seconds": 1.0, "rate": 98.0}])
def test_late_entry_is_refused_once_for_its_candle(
    strategy: IStrategy, late: dict[str, float]
) -> None:
    """Without a lock, freqtrade asks again at every look until the candle ends."""
    assert not confirmed(strategy, **late)
    assert is_locked(strategy, "2025-03-01 12:00", "short")
    assert not is_locked(strategy, "2025-03-01 12:00", "long")
    assert not is_locked(strategy, "2025-03-01 13:00", "short")


def test_entry_of_the_users_own_is_never_refused(strategy: IStrategy) -> None:
    assert confirmed(strategy, seconds=3000, rate=50.0, entry_tag="force_entry")
    assert confirmed(strategy, seconds=3000, rate=50.0, side="long", entry_tag=None)


@pytest.mark.parametrize(
    ("opened", "filled", "reason"),
    [
        ("2025-03-01 10:30", "2025-03-01 10:31", "cooled"),
        ("2025-03-01 10:59", "2025-03-01 13:05", "cooled"),
        ("2025-03-01 13:10", "2025-03-01 13:10", None),
    ],
    ids=["entered in the zone", "filled after the zone", "entered by hand after it"],
)
def test_only_positions_with_a_bias_close_when_it_ends(
    strategy: IStrategy,
    monkeypatch: pytest.MonkeyPatch,
    opened: str,
    filled: str,
    reason: str | None,
) -> None:
    entered = pd.Timestamp(filled, tz="UTC").to_pydatetime()
    monkeypatch.setattr(LocalTrade, "date_entry_fill_utc", entered)
    dates = pd.date_range("2025-03-01 09:00", periods=4, freq="1h", tz="UTC")
    strategy.dp = Analysed()
    strategy.dp.dataframe = pd.DataFrame({"date": dates, "bias": [-1, -1, 0, 0], "premium": 0.001})
    strategy.config["runmode"] = RunMode.DRY_RUN
    trade = LocalTrade(
        **{"pair": PAIR, "is_short": True, "stake_amount": 10.0, "open_rate": 100.0, "amount": 0.1},
        **{"fee_open": 0.0, "fee_close": 0.0, "leverage": 1.0},
        open_date=pd.Timestamp(opened, tz="UTC").to_pydatetime(),
    )
    now = pd.Timestamp("2025-03-01 13:11", tz="UTC").to_pydatetime()
    arguments: Any = {"current_rate": 100.0, "current_profit": 0.0}
    assert strategy.custom_exit(PAIR, trade, now, **arguments) == reason


@pytest.mark.parametrize(
    ("runmode", "held", "is_confirmed"),
    [
        (RunMode.LIVE, PAIR, False),
        (RunMode.LIVE, "ETH/USDT:USDT", True),
        (RunMode.DRY_RUN, PAIR, True),
    ],
)
def test_no_entry_on_top_of_an_unknown_position(
    strategy: IStrategy, runmode: RunMode, held: str, is_confirmed: bool
) -> None:
    """It is left where the answer to an entry was lost: freqtrade would enter again."""
    told: list[str] = []
    strategy.dp.send_msg = told.append
    strategy.config["runmode"] = runmode
    position = PositionWallet(held, position=0.25, leverage=1.0, side="short")
    strategy.wallets = SimpleNamespace(get_all_positions=lambda: {held: position})
    assert confirmed(strategy, seconds=5) is is_confirmed
    assert is_locked(strategy, "2025-03-01 12:00", "short") is not is_confirmed
    assert len(told) == (not is_confirmed)
    assert all(text.startswith(f"{PAIR}: no short entry, the exchange holds 0.25") for text in told)

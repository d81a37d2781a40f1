"""Check the series of the optional gates, without which these gates never pass."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from freqtrade.enums import CandleType
from pandas import DataFrame

from perp_imbalance.doctor.candle_checks import MAX_BEHIND
from perp_imbalance.doctor.findings import Check, Level
from perp_imbalance.doctor.opening import Loaded
from perp_imbalance.indicators.gates import GATE_SERIES
from perp_imbalance.indicators.positioning import change
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.strategy.gate_series import missing_series, series_column
from perp_imbalance.strategy.parameters import SETTING_SPACES
from perp_imbalance.strategy.settings import SECTION, Settings

_SWITCHES = {CandleType(series.candle_type): switch for switch, series in GATE_SERIES.items()}


def switch_places(loaded: Loaded, settings: Settings) -> dict[str, str]:
    """Return where the user can change the switch of each optional gate, as text.

    The config's switch outranks that of the parameter file, and that outranks the class's.

    :param loaded: the strategy with its parameter file.
    """
    places = {}
    for switch in GATE_SERIES:
        if switch in settings.model_fields_set:
            places[switch] = f" in the config's {SECTION}"
        elif loaded.file and switch in loaded.params.get(SETTING_SPACES[switch], {}):
            places[switch] = f" in {loaded.file.name}"
        else:
            places[switch] = f" in {type(loaded.strategy).__name__}.py"
    return places


def check_series(
    perp: DataFrame,
    frame: DataFrame,
    kind: CandleType,
    timeframe: str,
    thresholds: Thresholds,
    places: Mapping[str, str] = MappingProxyType({}),
) -> Check:
    """Check whether a gate has its series on the perp's newest candle.

    :param perp: the perp's candles, at least one.
    :param frame: the newest values of the series from the exchange; it may be empty.
    :param kind: funding rates or open interest.
    :param places: result of :func:`switch_places`.
    """
    column = series_column(perp, timeframe, frame, kind)
    # The first is what the gate looks at.
    name, values = next(iter(column.items()))
    words = name.replace("_", " ")
    switch = _SWITCHES[kind]
    mend = f"set {switch} to false{places.get(switch, '')}, or take the pair off the whitelist"
    if missing := missing_series(column):
        if len(frame):
            missing += f" on the last {len(perp)} candles, the newest is of {_newest(frame)}"
        return Check(words, Level.MUST_FIX, f"{missing} and would pass nothing: {mend}")
    if late := _late(frame, values, words, mend):
        return late
    if kind == CandleType.OPEN_INTEREST and not np.isfinite(change(values, thresholds.oi_len)[-1]):
        return _too_few(values, thresholds.oi_len, timeframe, mend)
    return Check(words, Level.OK, f"known on {np.isfinite(values).sum()} {timeframe} candles")


def _newest(frame: DataFrame) -> str:
    return f"{frame['date'].iloc[-1]:%Y-%m-%d %H:%M} UTC"


def _late(frame: DataFrame, values: Floats, words: str, mend: str) -> Check | None:
    """Return a finding if a series does not reach the newest candle, else None."""
    behind = values.size - 1 - int(np.flatnonzero(np.isfinite(values))[-1])
    if not behind:
        return None
    said = f"the newest {words} is of {_newest(frame)}, unknown to the last {behind} candles"
    if words == "open interest" and behind <= MAX_BEHIND:
        message = (
            f"{said}: no entries until it comes; run the doctor again, and if it stays, {mend}"
        )
        return Check(words, Level.WARNING, message)
    return Check(words, Level.MUST_FIX, f"{said}: the gate passes nothing; {mend}")


def _too_few(values: Floats, oi_len: int, timeframe: str, mend: str) -> Check:
    """Return a finding if the newest value of a series has no earlier one to compare with."""
    found = int(np.isfinite(values).sum())
    said = f"the open interest gate compares with {oi_len} candles ago, which has none"
    if np.isfinite(change(values, oi_len)).any():
        message = f"{said}: no entry on this candle; run the doctor again"
        return Check("open interest", Level.WARNING, message)
    message = (
        f"the open interest gate needs {oi_len + 1} {timeframe} candles of it and the exchange "
        f"gives {found}: it would pass nothing; set a shorter oi_len, wait, or {mend}"
    )
    return Check("open interest", Level.MUST_FIX, message)

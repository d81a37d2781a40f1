"""Series of the optional gates of a strategy, and the columns made from them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ccxt
import numpy as np
from freqtrade.enums import CandleType
from freqtrade.strategy import IStrategy
from pandas import DataFrame

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.gates import GATE_SERIES, GATES, OPTIONAL_GATES, active_gates
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.markets.exchange_name import exchange_name
from perp_imbalance.markets.spot_pairs import source_order
from perp_imbalance.strategy.settings import SECTION, Settings

_BY_KIND = {CandleType(series.candle_type): series for series in GATE_SERIES.values()}

# What ccxt calls the ability to fetch a series that not every exchange has, and its name in words.
_ABILITIES = {
    CandleType.INDEX: ("fetchIndexOHLCV", "index prices"),
    CandleType.PREMIUMINDEX: ("fetchPremiumIndexOHLCV", "premium index"),
    **{kind: (series.ability, series.words) for kind, series in _BY_KIND.items()},
}


def gate_series(thresholds: Thresholds) -> list[CandleType]:
    """Return the series of the active gates.

    >>> gate_series(Thresholds(use_oi=True))
    [<CandleType.OPEN_INTEREST: 'open_interest'>]
    """
    return [CandleType(gate.series.candle_type) for gate in active_gates(thresholds) if gate.series]


def downloaded_series(thresholds: Thresholds) -> list[CandleType]:
    """Return the series of active gates that freqtrade downloads only on request."""
    return [kind for kind in gate_series(thresholds) if not _BY_KIND[kind].with_candles]


def gate_series_keys(
    pair: str, kinds: Iterable[CandleType], timeframe: str, funding_timeframe: str
) -> list[tuple[str, str, CandleType]]:
    """Return pair, timeframe and kind of each series for freqtrade's informative pairs.

    :param kinds: the series of the active gates.
    :param funding_timeframe: timeframe of past funding rates.

    >>> gate_series_keys("BTC/USDT:USDT", [CandleType.FUNDING_RATE], "5m", "1h")
    [('BTC/USDT:USDT', '1h', <CandleType.FUNDING_RATE: 'funding_rate'>)]
    """
    return [
        (pair, funding_timeframe if kind == CandleType.FUNDING_RATE else timeframe, kind)
        for kind in kinds
    ]


def check_series(exchange: str, kind: CandleType, setting: str) -> None:
    """Raise if an exchange lacks a series that a setting needs.

    :param exchange: ccxt's name.
    :param setting: the setting of the config, or the switch of a gate, for the message.
    :raises SettingsError: naming exchange, series and setting.
    """
    ability, words = _ABILITIES[kind]
    described: Callable[[], Any] | None = getattr(ccxt, exchange, None)
    if described is not None and not described().has.get(ability):
        mend = f"set {SECTION}.{setting} to false in the config"
        if setting not in GATE_SERIES:
            mend = f"remove {SECTION}.{setting} from the config"
        raise SettingsError(f"{exchange} gives no {words}: {mend}")


class GateSeries(IStrategy):
    """The part of a strategy that requests the series of active gates: funding, open interest."""

    settings: Settings

    def check_gates(self) -> None:
        """Refuse gates without their series; let hyperopt vary thresholds of active gates only.

        :raises SettingsError: if the exchange lacks a series that a setting needs.
        """
        source = self.settings.premium_source
        order = () if source == "auto" else source_order(source)
        needed = (
            ("index" in order, CandleType.INDEX, 'premium_source "index"'),
            ("premium_index" in order, CandleType.PREMIUMINDEX, 'premium_source "premium_index"'),
            *(
                (getattr(self, switch).value, CandleType(series.candle_type), switch)
                for switch, series in GATE_SERIES.items()
            ),
        )
        for is_on, kind, setting in needed:
            if is_on:
                check_series(exchange_name(self.config), kind, setting)
        for switch, names in OPTIONAL_GATES.items():
            for name in names:
                parameter = getattr(self, name)
                parameter.optimize = parameter.optimize and bool(getattr(self, switch).value)

    def gate_series_keys_of(self, pair: str) -> list[tuple[str, str, CandleType]]:
        """Return the series of the active gates.

        Only the switches are read: freqtrade does not vary a threshold that was read while hyperopt
        computes indicators.
        """
        kinds = [
            CandleType(series.candle_type)
            for switch, series in GATE_SERIES.items()
            if getattr(self, switch).value
        ]
        if not kinds:
            return []
        funding_timeframe = self.dp.get_funding_rate_timeframe()
        return gate_series_keys(pair, kinds, self.timeframe, funding_timeframe)

    def series_columns(self, dataframe: DataFrame, pair: str) -> dict[str, Floats]:
        """Return the columns of the series of active gates."""
        columns: dict[str, Floats] = {}
        for name, timeframe, kind in self.gate_series_keys_of(pair):
            frame = self.dp.get_pair_dataframe(name, timeframe, kind)
            columns |= series_column(dataframe, self.timeframe, frame, kind)
        return columns

    def known_series(self, columns: Mapping[str, Any] | DataFrame) -> dict[str, Floats]:
        """Return the columns of :meth:`series_columns` that a dataframe has."""
        names = (series.column for series in GATE_SERIES.values())
        return {name: np.asarray(columns[name]) for name in names if name in columns}


def series_column(
    dataframe: DataFrame, timeframe: str, frame: DataFrame, kind: CandleType
) -> dict[str, Floats]:
    """Return the columns of a series on the perp's rows, by name.

    :param dataframe: the perp's candles.
    :param timeframe: timeframe of these candles.
    :param frame: the series from freqtrade; it may be empty.
    :param kind: freqtrade's candle type of the series.
    """
    return _BY_KIND[kind].on_rows(dataframe, timeframe, frame)


def missing_series(columns: dict[str, Floats]) -> str | None:
    """Return a message about gates without any data; None if each has some."""
    for gate in GATES:
        column = gate.series.column if gate.series else None
        if column in columns and not np.isfinite(columns[column]).any():
            return f"the {gate.name} has no {column.replace('_', ' ')} of it"
    return None

"""The optional gates of a strategy: which series they need, and the columns these become."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import ccxt
import numpy as np
from freqtrade.enums import CandleType
from freqtrade.strategy import BooleanParameter, IStrategy
from pandas import DataFrame

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.positioning import known_funding, open_interest
from perp_imbalance.indicators.rolling import Floats
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.markets.exchange_name import exchange_name
from perp_imbalance.strategy.parameters import OPTIONAL_GATES
from perp_imbalance.strategy.settings import SECTION, Settings

logger = logging.getLogger(__name__)

#: What ccxt calls the ability to fetch a series that not every exchange has, and its name in words.
SERIES = {
    CandleType.INDEX: ("fetchIndexOHLCV", "index prices"),
    CandleType.FUNDING_RATE: ("fetchFundingRateHistory", "past funding rates"),
    CandleType.OPEN_INTEREST: ("fetchOpenInterestHistory", "past open interest"),
}

#: The series of each optional gate, by its switch.
GATE_SERIES = {"use_funding": CandleType.FUNDING_RATE, "use_oi": CandleType.OPEN_INTEREST}


def gate_series(thresholds: Thresholds) -> list[CandleType]:
    """Return the series of the gates that are on.

    >>> gate_series(Thresholds(use_oi=True))
    [<CandleType.OPEN_INTEREST: 'open_interest'>]
    """
    return [kind for switch, kind in GATE_SERIES.items() if getattr(thresholds, switch)]


def gate_series_keys(
    pair: str, kinds: Iterable[CandleType], timeframe: str, funding_timeframe: str
) -> list[tuple[str, str, CandleType]]:
    """Return what freqtrade is asked for: pair, timeframe and kind of each series.

    :param kinds: the series of the gates that are on.
    :param funding_timeframe: past funding rates have one of their own.

    >>> gate_series_keys("BTC/USDT:USDT", [CandleType.FUNDING_RATE], "5m", "1h")
    [('BTC/USDT:USDT', '1h', <CandleType.FUNDING_RATE: 'funding_rate'>)]
    """
    return [
        (pair, funding_timeframe if kind == CandleType.FUNDING_RATE else timeframe, kind)
        for kind in kinds
    ]


def check_series(exchange: str, kind: CandleType, setting: str) -> None:
    """Raise where an exchange does not have a series that a setting asks for.

    :param exchange: ccxt's name.
    :param setting: what asks for it, as the config has it, or the switch of a gate: a parameter
        file may have switched that on, and the config's word counts.
    :raises SettingsError: naming all three.
    """
    ability, words = SERIES[kind]
    described: Callable[[], Any] | None = getattr(ccxt, exchange, None)
    if described is not None and not described().has.get(ability):
        mend = f"set {SECTION}.{setting} to false in the config"
        if setting not in GATE_SERIES:
            mend = f"take {SECTION}.{setting} off the config"
        raise SettingsError(f"{exchange} gives no {words}: {mend}")


class GateSeries(IStrategy):
    """The part of a strategy that asks for funding rates and open interest where a gate is on."""

    settings: Settings
    use_funding: BooleanParameter
    use_oi: BooleanParameter

    def switch_gates(self) -> None:
        """Let the config's switches count where it has them: no epoch of hyperopt varies those.

        Else every parameter file would switch a gate off that the config had not at its tuning.
        """
        for switch in self.settings.model_fields_set & OPTIONAL_GATES.keys():
            parameter, wanted = getattr(self, switch), getattr(self.settings, switch)
            if parameter.value != wanted:
                logger.warning(
                    "%s is %s in the config and %s in the parameter file: the config's counts",
                    *(switch, wanted, parameter.value),
                )
                parameter.value = wanted

    def check_gates(self) -> None:
        """Refuse gates without series; let hyperopt vary only what belongs to a gate that is on.

        :raises SettingsError: where the exchange lacks what a setting asks for.
        """
        needed = (
            (self.settings.premium_source == "index", CandleType.INDEX, 'premium_source "index"'),
            *((getattr(self, switch).value, kind, switch) for switch, kind in GATE_SERIES.items()),
        )
        for is_on, kind, setting in needed:
            if is_on:
                check_series(exchange_name(self.config), kind, setting)
        for switch, names in OPTIONAL_GATES.items():
            for name in names:
                getattr(self, name).optimize = bool(getattr(self, switch).value)

    def gate_series_keys_of(self, pair: str) -> list[tuple[str, str, CandleType]]:
        """Return the series of the gates that are on.

        Only the switches are read: freqtrade takes any other threshold that is read while hyperopt
        computes its indicators for one that its epochs cannot vary.
        """
        kinds = [kind for switch, kind in GATE_SERIES.items() if getattr(self, switch).value]
        if not kinds:
            return []
        funding_timeframe = self.dp.get_funding_rate_timeframe()
        return gate_series_keys(pair, kinds, self.timeframe, funding_timeframe)

    def series_columns(self, dataframe: DataFrame, pair: str) -> dict[str, Floats]:
        """Return ``funding_rate`` and ``open_interest`` where their gates are on."""
        columns: dict[str, Floats] = {}
        for name, timeframe, kind in self.gate_series_keys_of(pair):
            frame = self.dp.get_pair_dataframe(name, timeframe, kind)
            columns |= series_column(dataframe, self.timeframe, frame, kind)
        return columns


def series_column(
    dataframe: DataFrame, timeframe: str, frame: DataFrame, kind: CandleType
) -> dict[str, Floats]:
    """Return what a series becomes on the perp's rows, under the name of its column.

    :param dataframe: the perp's candles.
    :param timeframe: theirs.
    :param frame: the series as freqtrade gives it; it may be empty.
    :param kind: funding rates or open interest.
    """
    if kind == CandleType.FUNDING_RATE:
        return {"funding_rate": known_funding(dataframe, timeframe, frame)}
    return {"open_interest": open_interest(dataframe, frame)}


def missing_series(columns: dict[str, Floats]) -> str | None:
    """Say which gate has nothing to go by; None where every one has something."""
    words = {"funding_rate": "funding gate", "open_interest": "open interest gate"}
    for name, values in columns.items():
        if not np.isfinite(values).any():
            return f"the {words[name]} has no {name.replace('_', ' ')} of it"
    return None

"""Candles that a bot gets late on a replay, because the next candle is missing.

If an exchange omits candles without trades, the candle before a missing one may still be
unfinished, so freqtrade holds it back for a time. A backtest has every candle at once.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
from freqtrade.enums import CandleType
from freqtrade.exchange import timeframe_to_seconds

from perp_imbalance.data.folder import CandleFolder
from perp_imbalance.data.premium_sources import Matching, with_candles
from perp_imbalance.freqtrade_bridge.config import whitelist
from perp_imbalance.markets.exchange_name import exchange_name
from perp_imbalance.rehearsal.clock import next_look
from perp_imbalance.rehearsal.plan import Plan
from perp_imbalance.strategy.settings import Settings

#: Seconds for which freqtrade holds a candle back, and how its config names them.
_GRACE, _GRACE_KEY = 15.0, "ohlcv_late_candle_grace_secs"


class LateCandles:
    """Finds candles of a rehearsal that reached the bot late, and when it could act on them.

    :param times: opening times of each pair's series, by the name of the series
    :param candle: length of a candle in seconds
    :param looks: looks of the plan; None for freqtrade's own pace, for which nothing is reported
    :param grace: seconds for which freqtrade holds back a candle without a successor

    >>> hours = pd.date_range("2025-01-01", periods=4, freq="h", tz="UTC")
    >>> late = LateCandles({"X": {"X spot": hours.delete(2)}}, 3600, [1.0], 90.0)
    >>> late.held_back("X", hours[2])[0]
    'X spot has no candle of 02:00, so that of 01:00 came 90 s late'
    """

    def __init__(
        self,
        times: Mapping[str, Mapping[str, pd.DatetimeIndex]],
        candle: int,
        looks: Sequence[float] | None,
        grace: float = _GRACE,
    ) -> None:
        self._times, self._candle, self._looks, self._grace = times, candle, looks, grace

    @classmethod
    def of(cls, plan: Plan) -> "LateCandles":
        """Return the late candles of a plan, from its folder of candles."""
        config = plan.config
        timeframe = config["timeframe"]
        folder = CandleFolder(plan.datadir, config.get("dataformat_ohlcv"))
        matching = Matching.of(exchange_name(config), Settings.from_config(dict(config)))
        times = {}
        for pair in whitelist(dict(config)):
            match = with_candles(matching.match(pair, folder), folder, timeframe)
            keys = {pair: (pair, CandleType.FUTURES)}
            if match.spot is not None:
                keys[match.name] = (match.spot, CandleType(match.source))
            times[pair] = {
                name: pd.DatetimeIndex(folder.read(key, timeframe, kind)["date"])
                for name, (key, kind) in keys.items()
            }
        grace = config["exchange"].get("_ft_has_params", {}).get(_GRACE_KEY, _GRACE)
        return cls(times, timeframe_to_seconds(timeframe), plan.looks, grace)

    def held_back(self, pair: str, time: pd.Timestamp) -> tuple[str, pd.Timestamp] | None:
        """Return why a bot could not act at the opening of a candle, and when it could.

        :param time: opening of the candle in which a backtest acts on the previous one
        :return: None if the bot could act at once
        """
        step = pd.Timedelta(seconds=self._candle)
        for name, times in self._times.get(pair, {}).items():
            if time in times or time - step not in times or self._looks is None:
                continue
            look = next_look(time.timestamp() + self._grace - 1e-3, self._candle, self._looks)
            reason = (
                f"{name} has no candle of {time:%H:%M}, so that of {time - step:%H:%M} came "
                f"{self._grace:g} s late"
            )
            return reason, pd.Timestamp(look, unit="s", tz="UTC").floor(step)
        return None

"""Candles that a bot gets late on a replay: those whose successor is missing.

An exchange that omits a candle without trades leaves open whether the one before it is final, so
freqtrade holds that one back for a while. A backtest has every candle at once.
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
    """Which candles of a rehearsal reached the bot late, and when it could act on them.

    :param times: opening times by pair, of each series that it is judged by, by their name
    :param candle: length of a candle in seconds
    :param looks: of the plan; None: freqtrade's own pace, of which nothing is said
    :param grace: seconds for which a candle without a successor is held back

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
        """Return those of a plan, from its folder of candles."""
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
        """Say why a bot could not act at the opening of a candle, and in which it could; or None.

        :param time: opening of the candle in which a backtest acts on the one before it
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

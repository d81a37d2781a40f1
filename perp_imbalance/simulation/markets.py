"""The inputs of the simulation: pairs with candles and trading rules, signals, rules of a run."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.simulation.records import CANDLE, LIMIT, TIER, Records

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.uint8]

#: Bits of a candle's signals.
ENTER_LONG, EXIT_LONG, ENTER_SHORT, EXIT_SHORT = 1, 2, 4, 8


class Markets(NamedTuple):
    """Pairs in the order of the whitelist, with their candles concatenated.

    :func:`market` and :func:`join` create it.

    :ivar candles: records of ``CANDLE``.
    :ivar funding: what longs pay to shorts per unit of the base at each settlement.
    :ivar first: row of each pair's first candle, and the number of all rows.
    :ivar limits: one record of ``LIMIT`` per pair.
    :ivar tiers: one row of ``TIER`` records per pair.
    """

    candles: Records
    funding: Floats
    first: Ints
    limits: Records
    tiers: Records

    @property
    def times(self) -> Ints:
        """The opening time of each candle, in ns."""
        times: Ints = self.candles["time"]
        return times


class Signals(NamedTuple):
    """Signals on closed candles, for the rows of :class:`Markets`.

    :ivar flags: bits ``ENTER_LONG``, ``EXIT_LONG``, ``ENTER_SHORT``, ``EXIT_SHORT``.
    :ivar middle: the middle Bollinger band, for ``scale_out``.
    """

    flags: Flags
    middle: Floats


class Rules(NamedTuple):
    """The rules of a run, under the names of freqtrade's config.

    :ivar fee: fraction of an order's value, on entry and on exit.
    :ivar stoploss: fraction of the stake, below 0.
    :ivar stake_amount: stake of each trade; 0 for ``unlimited``.
    :ivar max_open_trades: 0 for no limit, which needs a ``stake_amount``.
    :ivar scale_out: fraction of a position that is closed once at the middle Bollinger band; 0 for
        none.
    :ivar stop_on_close: a candle that closes this fraction against the position ends it at the
        next open; 0 switches this off. The first candle that counts is that of the entry.
    :ivar max_entry_drift: most that the price may have moved against the entry since the signal's
        close, as a fraction.
    :ivar exit_timeout: seconds for which an exit order may stay open.
    :ivar protections: freqtrade's, in freqtrade's own words; see ``not_simulated``.
    """

    fee: float = 0.0005
    stoploss: float = -0.30
    leverage: float = 1.0
    wallet: float = 1000.0
    stake_amount: float = 0.0
    tradable_balance_ratio: float = 0.99
    max_open_trades: int = 1
    scale_out: float = 0.0
    stop_on_close: float = 0.0
    max_entry_drift: float = np.inf
    amount_reserve: float = 0.05
    liquidation_buffer: float = 0.05
    exit_timeout: float = 600.0
    protections: Sequence[Mapping[str, Any]] = ()


_UNUSED = np.array((np.inf, np.inf, np.inf, np.inf, np.inf), TIER)
#: A tier that never limits: no maintenance margin, any leverage.
FREE_TIER = ((0.0, np.inf, 0.0, np.inf, 0.0),)


def market(
    times: ArrayLike,
    prices: Mapping[str, ArrayLike],
    *,
    tick: ArrayLike = 1e-8,
    funding_times: ArrayLike = (),
    funding_fees: ArrayLike = (),
    amount_step: float = 1e-8,
    min_amount: float = 0.0,
    max_amount: float = np.inf,
    min_cost: float = 0.0,
    tiers: ArrayLike = FREE_TIER,
) -> Markets:
    """Return the market of one pair.

    :param times: opening time of each candle in ns, without gaps. As in freqtrade's backtest, the
        first candle is not traded.
    :param prices: ``open``, ``high``, ``low`` and ``close`` of each candle.
    :param tick: smallest price step, one for all candles or one per candle.
    :param funding_times: times of the funding settlements in ns, ascending.
    :param funding_fees: rate × mark price of each settlement.
    :param min_cost: smallest value of an order.
    :param tiers: values of ``TIER`` for each leverage tier.
    :raises DataError: if the arrays do not fit together.

    >>> hours = np.arange(3) * 3_600_000_000_000
    >>> market(hours, dict.fromkeys(("open", "high", "low", "close"), np.ones(3))).first
    array([0, 3])
    """
    at = np.asarray(times, dtype=np.int64)
    open_, high, low, close = (
        np.ascontiguousarray(prices[name], dtype=np.float64)
        for name in ("open", "high", "low", "close")
    )
    if not at.size or any(price.shape != at.shape for price in (open_, high, low, close)):
        raise DataError("a market needs candles, and a price of each kind for every one")
    if np.unique(np.diff(at)).size > 1 or (at[1:] <= at[:-1]).any():
        raise DataError(
            "the candles of a market have gaps or are not sorted: fill them as freqtrade"
        )
    if not ((low <= open_) & (open_ <= high) & (low > 0.0)).all():
        row = int(np.argmin((low <= open_) & (open_ <= high) & (low > 0.0)))
        raise DataError(f"the open of candle {row} lies outside its low and high")
    paid, fees = np.asarray(funding_times, np.int64), np.asarray(funding_fees, np.float64)
    if paid.shape != fees.shape or (paid[1:] < paid[:-1]).any():
        raise DataError("settlements of funding need one fee each, in order of time")
    candles, limits = np.empty(at.size, CANDLE), np.empty(1, LIMIT)
    candles["time"], candles["ticks"] = at, _per_unit(tick)
    candles["funded_before"] = paid.searchsorted(at, "left")
    candles["funded"] = paid.searchsorted(at, "right")
    for name, price in (("open", open_), ("high", high), ("low", low), ("close", close)):
        candles[name] = price
    limits[0] = (float(_per_unit(amount_step)), min_amount, max_amount, min_cost)
    rows = [tuple(tier) for tier in np.asarray(tiers, dtype=np.float64)]
    first = np.array([0, at.size], dtype=np.int64)
    return Markets(candles, fees, first, limits, np.array([rows], dtype=TIER))


def join(markets: Sequence[Markets]) -> Markets:
    """Return several pairs as one market, in the given order.

    :raises DataError: if their candles differ in length or grid.
    """
    steps = {int(step) for pair in markets for step in np.diff(pair.times[:2])}
    if not markets or len(steps) > 1:
        raise DataError("pairs of one simulation need candles of the same length")
    if steps and len({int(pair.times[0]) % steps.copy().pop() for pair in markets}) > 1:
        raise DataError("the candles of the pairs do not open at the same times")
    rows = np.cumsum([0, *(pair.times.size for pair in markets)])
    events = np.cumsum([0, *(pair.funding.size for pair in markets)])
    candles = np.concatenate([pair.candles for pair in markets])
    for name in ("funded_before", "funded"):
        sizes = [pair.candles.size for pair in markets]
        candles[name] += np.repeat(events[:-1], sizes)
    depth = max(pair.tiers.shape[1] for pair in markets)
    tiers = np.full((sum(pair.tiers.shape[0] for pair in markets), depth), _UNUSED, TIER)
    place = 0
    for pair in markets:
        count, tiers_of_pair = pair.tiers.shape
        tiers[place : place + count, :tiers_of_pair] = pair.tiers
        place += count
    first = [pair.first[:-1] + at for pair, at in zip(markets, rows, strict=False)]
    return Markets(
        candles,
        np.concatenate([pair.funding for pair in markets]),
        np.append(np.concatenate(first), rows[-1]),
        np.concatenate([pair.limits for pair in markets]),
        tiers,
    )


def signals(
    *,
    enter_long: ArrayLike,
    exit_long: ArrayLike,
    enter_short: ArrayLike,
    exit_short: ArrayLike,
    middle: ArrayLike | None = None,
) -> Signals:
    """Return the signals of one pair, or of several pairs concatenated.

    :param middle: the middle Bollinger band, needed for ``scale_out``.

    >>> signals(enter_long=[1, 0], exit_long=[0, 1], enter_short=[0, 0], exit_short=[0, 0]).flags
    array([1, 2], dtype=uint8)
    """
    flags = np.zeros(np.shape(enter_long), dtype=np.uint8)
    given = ((enter_long, ENTER_LONG), (exit_long, EXIT_LONG))
    for rows, bit in (*given, (enter_short, ENTER_SHORT), (exit_short, EXIT_SHORT)):
        flags |= (np.asarray(rows) == 1).astype(np.uint8) * np.uint8(bit)
    lines = np.full(flags.shape, np.nan) if middle is None else np.asarray(middle, np.float64)
    return Signals(flags, np.ascontiguousarray(lines))


def join_signals(parts: Sequence[Signals]) -> Signals:
    """Return the signals of several pairs, in the order given to :func:`join`."""
    return Signals(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def check_rules(rules: Rules) -> None:
    """Refuse rules that cannot be simulated.

    :raises SettingsError: one line that says what is wrong and how to mend it.
    """
    allowed = {
        "fee": (0.0 <= rules.fee < 1.0, "from 0 to below 1"),
        "stoploss": (-1.0 <= rules.stoploss < 0.0, "from -1 to below 0"),
        "leverage": (1.0 <= rules.leverage < np.inf, "at least 1"),
        "wallet": (0.0 < rules.wallet < np.inf, "above 0"),
        "stake_amount": (0.0 <= rules.stake_amount < np.inf, "above 0, or 0 for unlimited"),
        "tradable_balance_ratio": (0.0 < rules.tradable_balance_ratio <= 1.0, "in (0, 1]"),
        "max_open_trades": (
            rules.max_open_trades > 0 or (rules.max_open_trades == 0 and rules.stake_amount > 0),
            "above 0; 0 (no limit) needs a stake_amount",
        ),
        "scale_out": (0.0 <= rules.scale_out < 1.0, "from 0 to below 1"),
        "stop_on_close": (0.0 <= rules.stop_on_close < 1.0, "from 0 to below 1"),
        "max_entry_drift": (rules.max_entry_drift > 0.0, "above 0"),
    }
    for name, (is_allowed, wanted) in allowed.items():
        if not is_allowed:
            raise SettingsError(f"{name} is {getattr(rules, name)}, it should be {wanted}")


def fee_fraction(fee: float) -> tuple[float, float]:
    """Return a fee as numerator and denominator of its decimal text.

    >>> fee_fraction(0.0005)
    (5.0, 10000.0)
    """
    digits = Decimal(repr(fee)).normalize().as_tuple()
    scale = 10.0 ** max(0, -int(digits.exponent))
    return float(round(Decimal(repr(fee)) * Decimal(scale))), scale


def _per_unit(step: ArrayLike) -> Floats:
    """Return the number of steps in one unit.

    :raises DataError: if it is not a whole number, which no supported market has.
    """
    values = np.asarray(step, dtype=np.float64)
    per_unit = np.rint(1.0 / values)
    if not np.allclose(per_unit * values, 1.0, rtol=1e-9) or not (per_unit >= 1.0).all():
        raise DataError("a tick or step must be 1 or a whole part of 1, such as 0.1, 0.5 or 0.001")
    return per_unit

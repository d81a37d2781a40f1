"""The space of a search: values of each threshold, from the strategy's own parameters."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from math import prod
from typing import Any

from perp_imbalance.errors import SettingsError
from perp_imbalance.indicators.gates import GATES, OPTIONAL_GATES
from perp_imbalance.indicators.thresholds import THRESHOLD_NAMES, Thresholds
from perp_imbalance.strategy.parameters import PARAMETER_NAMES, check_lookback, check_value

Values = tuple[Any, ...]

# A range without a step of its own is tried in steps of this many decimals.
_DECIMALS = 3
# More combinations than this are not looked through for those that are the same.
_LOOKED_THROUGH = 1_000_000
#: Of a threshold that belongs to a gate: the switches of that gate.
_ALWAYS = ("enter_z", "exit_z", "smooth_len", "robust_z", *(gate.switch for gate in GATES))


@dataclass(frozen=True)
class Space:
    """Values by threshold, at least two each; all other thresholds are fixed.

    :param base: values of the fixed thresholds.
    :param axes: values by threshold, in increasing order.
    """

    base: Thresholds
    axes: Mapping[str, Values]

    def thresholds(self, values: Mapping[str, Any]) -> Thresholds | None:
        """Return the thresholds of a combination; None if ``enter_z`` is not above ``exit_z``.

        Thresholds that do not affect the signals have the base's value, so that equal signals mean
        equal thresholds.
        """
        chosen = {name: getattr(self.base, name) for name in THRESHOLD_NAMES} | dict(values)
        if chosen["enter_z"] <= chosen["exit_z"]:
            return None
        found = Thresholds(**chosen)
        used = _used(found)
        idle = {name: getattr(self.base, name) for name in self.axes if name not in used}
        return replace(found, **idle) if idle else found

    def tuned(self, thresholds: Thresholds) -> dict[str, Any]:
        """Return the varied thresholds of a combination that affect its signals."""
        used = _used(thresholds)
        return {name: getattr(thresholds, name) for name in self.axes if name in used}

    def all(self, at_most: int) -> list[Thresholds] | None:
        """Return all distinct combinations; None if there are more than ``most``."""
        if prod(map(len, self.axes.values())) > _LOOKED_THROUGH:
            return None
        every = (
            self.thresholds(dict(zip(self.axes, values, strict=True)))
            for values in product(*self.axes.values())
        )
        found = list(islice(_distinct(every), at_most + 1))
        return found if len(found) <= at_most else None


def _distinct(every: Iterable[Thresholds | None]) -> Iterator[Thresholds]:
    seen = set()
    for thresholds in every:
        if thresholds is not None and thresholds not in seen:
            seen.add(thresholds)
            yield thresholds


def _used(thresholds: Thresholds) -> set[str]:
    """Return the names of the thresholds that affect the signals of given thresholds."""
    used = {*_ALWAYS, "dev_len" if thresholds.robust_z else "len_prem"}
    for gate in GATES:
        if gate.is_on(thresholds):
            # The z-score of the higher timeframe is made as that of the candles is.
            used |= set(gate.thresholds) - {"len_prem"}
    return used


def space_of(
    strategy: Any,
    *,
    spaces: Sequence[str] | None = None,
    vary: Mapping[str, Values | None] | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> Space:
    """Return the space of a search over the parameters of a strategy.

    :param strategy: as freqtrade loads it, with its preset's values.
    :param spaces: freqtrade's names of the spaces to search; None for all.
    :param vary: the thresholds to vary, with values, or None for the strategy's own range; if
        empty, those that hyperopt would vary.
    :param fixed: values of thresholds that are not varied.
    :raises SettingsError: if a name or a value is invalid, or no threshold is left to vary.

    >>> space_of(None, vary={"enter": None})
    Traceback (most recent call last):
    perp_imbalance.errors.SettingsError: enter is not a threshold to tune: enter_z, exit_z, ...
    """
    vary, fixed = dict(vary or {}), dict(fixed or {})
    for name in (*vary, *fixed):
        if name not in PARAMETER_NAMES:
            known = ", ".join(PARAMETER_NAMES)
            raise SettingsError(f"{name} is not a threshold to tune: {known} are")
        if name in vary and name in fixed:
            raise SettingsError(f"{name} is to be varied and fixed: name it once")
    fixed = {name: _as_kept(strategy, name, value) for name, value in fixed.items()}
    base = strategy.thresholds()
    off = {
        name for switch, own in OPTIONAL_GATES.items() if not getattr(base, switch) for name in own
    }
    chosen: dict[str, Values] = {}
    for name in PARAMETER_NAMES:
        parameter = getattr(strategy, name)
        is_own = parameter.optimize and parameter.load and name not in off | fixed.keys()
        if name in vary or (not vary and is_own and (spaces is None or parameter.space in spaces)):
            wanted = vary.get(name) or _range_of(parameter)
            chosen[name] = tuple(sorted({_as_kept(strategy, name, value) for value in wanted}))
    axes = {name: values for name, values in chosen.items() if len(values) > 1}
    if not axes:
        raise SettingsError("nothing to tune: every threshold has one value only")
    fixed |= {name: values[0] for name, values in chosen.items() if len(values) == 1}
    # These two are used by every combination, and of the base the order must be right, too.
    ends = {"enter_z": -1, "exit_z": 0}
    fixed |= {name: axes[name][end] for name, end in ends.items() if name in axes}
    space = Space(replace(base, **fixed), axes)
    _check(space)
    return space


def _as_kept(strategy: Any, name: str, value: Any) -> Any:
    """Return a value rounded to the decimals of the strategy's parameter.

    :raises SettingsError: if the parameter cannot have it.
    """
    check_value(name, value)
    decimals = getattr(getattr(strategy, name), "decimals", None)
    return value if decimals is None else round(float(value), decimals)


def _range_of(parameter: Any) -> Values:
    """Return all values of a freqtrade parameter in increasing order."""
    if hasattr(parameter, "opt_range"):
        return tuple(sorted(parameter.opt_range))
    if isinstance(parameter.low, int):
        return tuple(range(parameter.low, parameter.high + 1))
    decimals = getattr(parameter, "decimals", _DECIMALS)
    steps = round((parameter.high - parameter.low) * 10**decimals)
    return tuple(round(parameter.low + step / 10**decimals, decimals) for step in range(steps + 1))


def _check(space: Space) -> None:
    """Refuse values with which the strategy would not start.

    :raises SettingsError: naming the first one.
    """
    for name, values in space.axes.items():
        for value in values:
            # Each alone beside values that always fit: what is wrong then is the value.
            fitting: dict[str, Any] = {"enter_z": 1e9} if name == "exit_z" else {"exit_z": 1e-9}
            replace(space.base, **{**fitting, name: value})
    # Lookbacks grow with each length and with robust_z: those of the highest values are longest.
    lengths = ("len_prem", "smooth_len", "bb_len", "dev_len", "robust_z")
    longest = {name: values[-1] for name, values in space.axes.items() if name in lengths}
    check_lookback(replace(space.base, **longest))

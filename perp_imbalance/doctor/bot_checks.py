"""What config, strategy and exchange tell about the whole bot: pure functions to findings."""

import re
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from perp_imbalance import __version__
from perp_imbalance.doctor.findings import Check, Level
from perp_imbalance.errors import SettingsError
from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
from perp_imbalance.indicators.higher_timeframe import check_higher
from perp_imbalance.indicators.thresholds import Thresholds
from perp_imbalance.markets.perp_names import did_you_mean
from perp_imbalance.markets.spot_matching import (
    Market,
    SpotMatch,
    about_spotless,
    is_other_contract,
    is_perp,
    some,
)
from perp_imbalance.strategy.settings import SECTION
from perp_imbalance.strategy.versions import newer_than_tested

OURS = "perp-imbalance"
PACKAGES = ("freqtrade", "ccxt", "TA-Lib")

# freqtrade names a clock that is further off than this. Beyond the second, Binance refuses orders
# (ccxt's recvWindow), and a clock that is ahead takes unfinished candles for closed ones.
WARN_CLOCK_MS, MAX_CLOCK_MS = 1_500, 10_000

# What is no name is a pattern.
_NAME = re.compile(r"[\w:/-]+")

_NO_LETTERS = re.compile(r"[^a-z]")


def installed_versions() -> dict[str, str | None]:
    """Return our version and those of what computes and trades; None where it is missing."""
    versions: dict[str, str | None] = {OURS: __version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def our_requirements() -> list[str]:
    """Return what our package asks for; nothing where it is not installed as one."""
    try:
        return requires(OURS) or []
    except PackageNotFoundError:
        return []


def check_versions(versions: Mapping[str, str | None], required: Sequence[str]) -> Check:
    """Compare what is installed with what is required: an older TA-Lib computes other values.

    :param versions: installed versions by package; None where one is missing.
    :param required: requirements as a package's metadata has them.
    """
    for requirement in map(Requirement, required):
        name = requirement.name
        if requirement.marker is not None or name not in versions:
            continue
        installed = versions[name]
        if installed is None or not requirement.specifier.contains(installed, prereleases=True):
            message = f"{name} is {installed or 'missing'}: install {name}{requirement.specifier}"
            return Check("versions", Level.MUST_FIX, message)
    running = versions.get("freqtrade")
    if running and (newer := newer_than_tested(running)):
        return Check("versions", Level.WARNING, newer)
    return Check("versions", Level.OK, "as required")


def check_clock(offset_ms: int | None, exchange: str) -> Check:
    """Judge how far this machine's clock is from the exchange's.

    :param offset_ms: this clock less the exchange's; None where the exchange does not tell.
    """
    if offset_ms is None:
        message = f"{exchange} does not return its time: ages are measured by this clock"
        return Check("clock", Level.WARNING, message)
    seconds = abs(offset_ms) / 1000
    side = "ahead of" if offset_ms > 0 else "behind"
    said = f"this machine's clock is {seconds:.1f} s {side} that of {exchange}"
    if abs(offset_ms) >= MAX_CLOCK_MS:
        message = f"{said}: synchronise it, such as with NTP; orders or candles would go wrong"
        return Check("clock", Level.MUST_FIX, message)
    if abs(offset_ms) >= WARN_CLOCK_MS:
        return Check("clock", Level.WARNING, f"{said}: synchronise it, such as with NTP")
    return Check("clock", Level.OK, f"within {seconds:.1f} s of {exchange}'s")


def check_startup(startup: int, perp_limit: int, spot_limit: int, requests: int) -> Check:
    """Compare the candles that the strategy needs at start with what a request may ask for.

    :param startup: candles before the first signal; one more is the unfinished one.
    :param perp_limit: candles in one answer for a perp.
    :param spot_limit: candles in one answer for a spot pair.
    :param requests: requests that freqtrade makes for every series at start.
    """
    name = "startup candles"
    if spot_limit * requests <= startup:
        message = (
            f"{startup} are needed and spot gives {spot_limit * requests}: the first signals "
            "after a start may differ from a backtest's; set a longer timeframe or wait so long"
        )
        return Check(name, Level.WARNING, message)
    if requests > 1:
        message = (
            f"{startup} take {requests} requests of {perp_limit} for every pair at start: slow "
            "with many pairs, but correct"
        )
        return Check(name, Level.WARNING, message)
    return Check(name, Level.OK, f"{startup} fit into one request of {perp_limit}")


def check_late_candles(grace_s: float, max_entry_age_s: float) -> Check:
    """Compare how long freqtrade looks for a late candle with how long an entry may still come.

    :param grace_s: freqtrade's ``ohlcv_late_candle_grace_secs``.
    :param max_entry_age_s: the setting ``max_entry_age_seconds``.
    """
    name = "late candles"
    if max_entry_age_s / 2 <= grace_s < max_entry_age_s:
        return Check(name, Level.OK, f"waited for until {grace_s:g} s after the close")
    wanted = round(max_entry_age_s * 0.75)
    message = (
        f"freqtrade waits {grace_s:g} s for a late candle, entries may come until "
        f"{max_entry_age_s:g} s after the close: set exchange._ft_has_params to "
        f'{{"ohlcv_late_candle_grace_secs": {wanted}}}, else a late spot candle loses its entry'
    )
    return Check(name, Level.WARNING, message)


def check_section(keys: Iterable[str], known: Container[str]) -> list[Check]:
    """Warn of a key that is nearly the name of our section: nothing would read it.

    :param keys: the top-level keys of the config.
    :param known: freqtrade's own.
    """
    return [
        Check(
            "config",
            Level.WARNING,
            f'the config has "{key}", which nothing reads: write it as "{SECTION}" if it is meant '
            "to be the section of this project",
        )
        for key in keys
        if key != SECTION and key not in known and _is_nearly_our_section(key)
    ]


def _is_nearly_our_section(key: str) -> bool:
    letters = _NO_LETTERS.sub("", key.casefold())
    return bool(get_close_matches(letters, [_NO_LETTERS.sub("", SECTION)], cutoff=0.8))


def check_idle_higher_timeframe(
    timeframe: str, htf_timeframe: str, thresholds: Thresholds
) -> list[Check]:
    """Warn of a higher timeframe that no gate reads now, but would refuse later.

    :param timeframe: the bot's.
    :param htf_timeframe: the setting; with the HTF gate on, the strategy has refused it already.
    """
    if thresholds.use_htf:
        return []
    try:
        check_higher(timeframe, htf_timeframe)
    except SettingsError as error:
        message = (
            f"{error}: the HTF gate is off, but the bot would not start with use_htf, nor hyperopt "
            "of the buy space, which may switch it on"
        )
        return [Check("higher timeframe", Level.WARNING, message)]
    return []


def check_protections(protections: int, enabled: bool) -> Check:
    """Say when a backtest of this config would leave out what a live bot does.

    :param protections: how many the strategy has.
    :param enabled: the config's ``enable_protections``.
    """
    name = "protections"
    if enabled or not protections:
        return Check(name, Level.OK, f"{protections}, in backtests too")
    message = (
        f'the bot has {protections}, a backtest of this config none: set "enable_protections": true'
    )
    return Check(name, Level.WARNING, message)


def check_price_side(config: Mapping[str, Any]) -> Check:
    """Warn of orders that wait on their own side of the order book.

    :param config: freqtrade's; ``price_side`` is "same" where it names none.

    >>> check_price_side({"entry_pricing": {"price_side": "other"}}).level
    <Level.WARNING: 'warning'>
    """
    name = "price side"
    sides = {
        section: config.get(section, {}).get("price_side", "same")
        for section in ("entry_pricing", "exit_pricing")
    }
    waiting = [f'{each}.price_side "{side}"' for each, side in sides.items() if side != "other"]
    if not waiting:
        return Check(name, Level.OK, '"other": orders are filled across the spread')
    message = (
        f"{' and '.join(waiting)}: a limit order waits on its own side of the order book and may "
        'not fill before the bias ends, where a backtest fills it at once: set "other"'
    )
    return Check(name, Level.WARNING, message)


def check_parameter_file(
    file: Path,
    content: bytes,
    strategy: str,
    parameters: Mapping[str, Collection[str]] | None = None,
) -> Check:
    """Say what freqtrade would not: which values of a parameter file it leaves aside.

    :param content: what the file holds.
    :param strategy: the name of the strategy's class.
    :param parameters: the strategy's parameters by space; None where they are not known yet.
    """
    name = "parameter file"
    try:
        found = ParameterFile.parse(content, file)
        if found.strategy_name != strategy:
            raise SettingsError(
                f'{file} is for "strategy_name" {found.strategy_name!r}, not {strategy}'
            )
        if parameters is not None:
            found.check_names(file, parameters, strategy)
    except SettingsError as error:
        return Check(name, Level.MUST_FIX, f"{error}; mend or delete the file")
    if parameters is not None and found.warning:
        return Check(name, Level.WARNING, f"{file} is used; its tuning warns: {found.warning}")
    return Check(name, Level.OK, f"{file} is used")


def check_whitelist(
    configured: Sequence[str], traded: Sequence[str], markets: Mapping[str, Market], exchange: str
) -> list[Check]:
    """Compare the pairs that the config names with those that freqtrade would trade.

    :param configured: the config's whitelist; it may hold patterns, which are not compared.
    :param traded: what freqtrade's pair lists make of it.
    :param markets: all markets of the exchange by symbol.
    """
    name = "whitelist"
    # freqtrade takes a name for a pattern, in whatever case.
    found = {pair.casefold() for pair in traded}
    lost = [pair for pair in configured if _NAME.fullmatch(pair) and pair.casefold() not in found]
    others = [pair for pair in lost if is_other_contract(pair, markets.get(pair))]
    checks = [_lost(name, pair, markets, exchange) for pair in lost if pair not in others]
    if others:
        message = f"{len(others)} pairs are coin-margined or have an expiry: {some(others)}"
        checks.append(Check(name, Level.WARNING, f"{message}; take them off the whitelist"))
    if not traded:
        message = "freqtrade's pair lists leave no pair to trade: name perps in pair_whitelist"
        return [*checks, Check(name, Level.MUST_FIX, message)]
    return [*checks, Check(name, Level.OK, f"{len(traded)} pairs")]


def _lost(name: str, pair: str, markets: Mapping[str, Market], exchange: str) -> Check:
    """Say why freqtrade does not trade a pair that the config names."""
    if ":" not in pair:
        meant = did_you_mean([pair], filter(lambda perp: _is_active_perp(markets[perp]), markets))
        mend = ": take it off the whitelist, a perp is called like BTC/USDT:USDT"
        message = f"this is not the name of a perp{meant or mend}"
        return Check(name, Level.MUST_FIX, message, pair)
    if not _is_active_perp(markets.get(pair)):
        message = f"{exchange} has no active perp of this name: take it off the whitelist"
        return Check(name, Level.MUST_FIX, message, pair)
    message = "freqtrade's blacklist or a filter of pairlists leaves it out now"
    return Check(name, Level.WARNING, message, pair)


def check_spotless(
    matches: Sequence[SpotMatch], markets: Mapping[str, Market], exchange: str
) -> list[Check]:
    """Name perps without a spot pair in one finding; nothing where one alone has a line of its own.

    :param markets: all markets of the exchange by symbol.
    """
    lacking = [match for match in matches if match.spot is None]
    no_spot = not any(market.get("spot") for market in markets.values())
    message = about_spotless(matches, markets.values(), exchange)
    if message is None or (len(lacking) == 1 and not no_spot):
        return []
    return [Check("spot pair", Level.MUST_FIX, message)]


def check_spot_pairs(
    perps: Iterable[str], markets: Mapping[str, Market], exchange: str
) -> list[Check]:
    """Warn of assignments that nothing asks for.

    :param perps: the keys of the setting ``spot_pairs``.
    :param markets: all markets of the exchange by symbol.
    """
    return [
        Check(
            "spot pair",
            Level.WARNING,
            f"{SECTION}.spot_pairs assigns a spot pair to {perp}, and {exchange} has no active "
            "perp of this name: correct or remove it",
        )
        for perp in perps
        if not _is_active_perp(markets.get(perp))
    ]


def _is_active_perp(market: Market | None) -> bool:
    return market is not None and market.get("active") is not False and is_perp(market)

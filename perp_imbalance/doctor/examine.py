"""The examination: open everything as the bot does at start, and check it in that order."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from freqtrade.config_schema import CONF_SCHEMA
from freqtrade.enums import CandleType

from perp_imbalance.doctor import (
    bot_checks,
    local_data_checks,
    opening,
    overrides,
    series_checks,
    stake_checks,
)
from perp_imbalance.doctor.alert_checks import check_alerts
from perp_imbalance.doctor.findings import Check, Level, Report
from perp_imbalance.doctor.opening import attempt
from perp_imbalance.doctor.pair_checks import (
    PairSnapshot,
    Plan,
    examine_pair,
    merge_spotless,
    settle_pair,
)
from perp_imbalance.doctor.request_checks import Requests, check_requests, counting
from perp_imbalance.freqtrade_bridge.exchange import closing_exchange, match_perps, price_step
from perp_imbalance.freqtrade_bridge.logs import silent_logs
from perp_imbalance.freqtrade_bridge.pairs import names_pairs, traded_pairs
from perp_imbalance.freqtrade_bridge.secrets import check_secrets
from perp_imbalance.indicators.gates import active_gates
from perp_imbalance.indicators.thresholds import TIMEFRAME, Thresholds
from perp_imbalance.markets.spot_matching import SpotMatch, has_source
from perp_imbalance.markets.spot_pairs import PremiumSource
from perp_imbalance.markets.spot_setting import check_spot_setting
from perp_imbalance.strategy.gate_series import downloaded_series
from perp_imbalance.strategy.settings import SECTION, Settings

#: Told what is being done: the text, steps done, steps in all.
Tell = Callable[[str, int, int], None]

# Config, strategy, exchange, local data.
_STEPS = 4


def examine(
    files: Sequence[Path], *, strategy: str | None = None, tell: Tell = lambda *_: None
) -> Report:
    """Return a report about the bot that these config files describe.

    :param files: freqtrade's ``-c`` files, later ones win.
    :param strategy: name of a strategy that replaces the config's.
    :param tell: called before each step.
    :raises CommandError: if a file is missing or is not JSON.
    """
    versions = bot_checks.installed_versions()
    report = Report(versions, [bot_checks.check_versions(versions, bot_checks.our_requirements())])
    with _freqtrade_silent():
        tell("config", 0, _STEPS)
        config = opening.open_config(files, report, strategy=strategy)
        if config is None:
            return report
        report.checks += bot_checks.check_section(config, CONF_SCHEMA["properties"])
        attempt(report, "secrets", lambda: check_secrets(config))
        plan = _plan(config, report, tell)
        tell("exchange", 2, _STEPS)
        exchange = opening.open_exchange(config, report)
        if exchange is None:
            return report
        with closing_exchange(exchange):
            _examine_exchange(config, exchange, plan, report, tell)
    return report


@contextmanager
def _freqtrade_silent() -> Iterator[None]:
    """Hide freqtrade's log; the report contains what matters."""
    # load_config shows errors anyway; this logger's are a page long.
    validation = logging.getLogger("freqtrade.configuration.config_validation")
    validation.addFilter(_nothing)
    try:
        with silent_logs():
            yield
    finally:
        validation.removeFilter(_nothing)


def _nothing(record: logging.LogRecord) -> bool:
    return False


def _plan(config: dict[str, Any], report: Report, tell: Tell) -> Plan | None:
    """Check config and strategy; return the plan for the checks of each pair.

    None if a finding makes these checks meaningless.
    """
    settings = attempt(report, "settings", lambda: Settings.from_config(config))
    if settings is not None:
        report.checks.append(Check("settings", Level.OK, "the section perp_imbalance is valid"))
        report.checks.append(check_alerts(config, settings))
    spot_safe = attempt(report, "spot setting", lambda: _spot_safe(config, settings))
    if spot_safe and (settings is None or settings.uses_spot):
        message = "requests for spot pairs go to the spot market"
        report.checks.append(Check("spot setting", Level.OK, message))
    tell("strategy", 1, _STEPS)
    overriding = overrides.overridden(config)
    loaded = opening.open_strategy(config, report, live=bool(spot_safe)) if settings else None
    if loaded is None or settings is None:
        return None
    strategy = loaded.strategy
    thresholds = _thresholds(strategy)
    timeframe = str(config.get("timeframe", TIMEFRAME))
    report.checks.append(_about_strategy(strategy, thresholds))
    if thresholds is not None:
        report.checks += bot_checks.check_idle_higher_timeframe(
            timeframe, settings.htf_timeframe, thresholds
        )
    _examine_protections(config, strategy, report)
    changed = attempt(
        report, overrides.NAME, lambda: overrides.check_overrides(overriding, loaded, config)
    )
    report.checks += changed or []
    report.checks.append(bot_checks.check_price_side(config))
    report.checks += stake_checks.check_stoploss_source(loaded, overriding)
    if attempt(report, "config", lambda: opening.validate_config(config)):
        report.checks.append(Check("config", Level.OK, "valid for freqtrade"))
    if not spot_safe:
        return None
    return Plan(
        timeframe=timeframe,
        startup_candles=int(strategy.startup_candle_count),
        settings=settings,
        thresholds=thresholds or Thresholds(),
        strategy=strategy,
        switch_places=series_checks.switch_places(loaded, settings),
    )


def _examine_protections(config: dict[str, Any], strategy: Any, report: Report) -> None:
    settings = opening.settings_of(strategy)
    is_configured = settings is not None and "protections" in settings.model_fields_set
    source = f"{SECTION if is_configured else type(strategy).__name__}.protections"
    protections = attempt(report, "protections", lambda: list(strategy.protections))
    if protections is None:
        return
    if opening.load_protections(config, protections, source, report):
        enabled = bool(config.get("enable_protections"))
        report.checks.append(bot_checks.check_protections(len(protections), enabled))


def _spot_safe(config: Mapping[str, Any], settings: Settings | None) -> bool:
    if settings is None or settings.uses_spot:
        check_spot_setting(config)
    return True


def _thresholds(strategy: Any) -> Thresholds | None:
    """Return the thresholds of the strategy; None if it is not based on PerpImbalance."""
    thresholds = getattr(strategy, "thresholds", None)
    found = thresholds() if callable(thresholds) else None
    return found if isinstance(found, Thresholds) else None


def _about_strategy(strategy: Any, thresholds: Thresholds | None) -> Check:
    name = type(strategy).__name__
    if thresholds is None:
        message = f"{name} has no thresholds of ours: pairs are measured with the defaults"
        return Check("strategy", Level.WARNING, message)
    gates = " and ".join(gate.tag for gate in active_gates(thresholds))
    message = (
        f"{name}: enter_z {thresholds.enter_z:g}, exit_z {thresholds.exit_z:g}, len_prem "
        f"{thresholds.len_prem}, gates: {gates or 'none'}"
    )
    return Check("strategy", Level.OK, message)


def _examine_exchange(
    config: dict[str, Any], exchange: Any, plan: Plan | None, report: Report, tell: Tell
) -> None:
    """Check the exchange and, if there is a plan, every pair."""
    name = config["exchange"]["name"]
    offset = opening.clock_offset_ms(config, exchange)
    report.checks += [
        Check("exchange", Level.OK, f"{name} lists {len(exchange.markets)} markets"),
        bot_checks.check_clock(offset, name),
    ]
    pairs = attempt(report, "whitelist", lambda: traded_pairs(config, exchange))
    if pairs is None:
        return
    named = config["exchange"]["pair_whitelist"] if names_pairs(config) else []
    report.checks += bot_checks.check_whitelist(named, pairs, exchange.markets, name)
    if not pairs:
        return
    if plan is None:
        message = "not checked: fix the findings above, then run the doctor again"
        report.checks.append(Check("pairs", Level.WARNING, message))
        return
    report.checks += bot_checks.check_spot_pairs(plan.settings.spot_pairs, exchange.markets, name)
    report.checks.append(_check_startup(exchange, plan))
    report.checks.append(
        bot_checks.check_late_candles(
            _late_candle_grace(exchange), plan.settings.max_entry_age_seconds
        )
    )
    matches = match_perps(exchange.markets, plan.settings, name, pairs)
    spotless = bot_checks.check_spotless(matches, exchange.markets, name)
    report.checks += spotless
    steps = _STEPS + len(matches)
    traded, requests = [], Requests()
    for done, match in enumerate(matches):
        tell(f"candles of {match.perp}", _STEPS - 1 + done, steps)
        fetch = partial(_fetch, exchange, plan, offset or 0)
        match, given = settle_pair(match, fetch, plan.timeframe)
        matches[done] = match
        requests += given.requests
        found = examine_pair(match, given, plan)
        report.pairs.append(found.figures)
        if match.spot is not None or not spotless:
            report.checks += found.checks
        perp = given.frames.get((match.perp, plan.timeframe, CandleType.FUTURES))
        if perp is not None:
            traded.append(stake_checks.Traded.of(match.perp, perp))
    report.checks = merge_spotless(report.checks)
    report.checks.append(_check_requests(config, exchange, plan, requests, len(matches)))
    trades = attempt(
        report,
        stake_checks.STAKE,
        lambda: stake_checks.examine_money(config, exchange, plan.strategy, traded),
    )
    if trades is not None:
        report.checks += trades[0]
        stops = {stop.pair: stop for stop in trades[1]}
        report.pairs = [
            replace(pair, leverage=stop.leverage, stop=stop.move, liquidation=stop.liquidation)
            if (stop := stops.get(pair.perp))
            else pair
            for pair in report.pairs
        ]
    tell("local data", steps - 1, steps)
    local = attempt(
        report, local_data_checks.NAME, lambda: _examine_local_data(config, matches, plan)
    )
    report.checks += local or []


def _check_startup(exchange: Any, plan: Plan) -> Check:
    return bot_checks.check_startup(
        plan.startup_candles,
        exchange.ohlcv_candle_limit(plan.timeframe, CandleType.FUTURES),
        exchange.ohlcv_candle_limit(plan.timeframe, CandleType.SPOT),
        exchange.required_candle_call_count,
    )


def _check_requests(
    config: Mapping[str, Any], exchange: Any, plan: Plan, requests: Requests, pairs: int
) -> Check:
    client = exchange._api_async
    return check_requests(
        requests,
        pairs=pairs,
        exchange=exchange.id,
        pace_ms=client.rateLimit if client.enableRateLimit else 0.0,
        timeframe=plan.timeframe,
        max_entry_age_s=plan.settings.max_entry_age_seconds,
        calls_at_start=exchange.required_candle_call_count,
        # Those of a bot: the doctor's exchange opens none.
        websockets=config["exchange"].get("enable_ws", True)
        and exchange.get_option("ws_enabled", False)
        and exchange.exchange_has("watchOHLCV"),
    )


def _late_candle_grace(exchange: Any) -> float:
    """Return the seconds after a close during which freqtrade requests a late candle repeatedly."""
    return float(exchange.get_option("ohlcv_late_candle_grace_secs", 0))


def _fetch(exchange: Any, plan: Plan, offset_ms: int, match: SpotMatch) -> PairSnapshot:
    """Return the candles of a pair, fetched as by the bot, and the exchange's time."""
    now_ms = time.time_ns() // 10**6 - offset_ms
    funding_timeframe = exchange.get_option("funding_fee_timeframe")
    wanted = [(match.perp, timeframe, CandleType.FUTURES) for timeframe in plan.timeframes]
    if match.spot is not None:
        wanted += [
            (match.spot, timeframe, CandleType(match.source)) for timeframe in plan.timeframes
        ]
        wanted += plan.gate_series_keys_of(match.perp, funding_timeframe)
    with counting(exchange._api_async) as counted:
        frames: dict[Any, Any] = exchange.refresh_latest_ohlcv(wanted, cache=False)
    beside = _beside(exchange, match, plan)
    if beside is not None:
        key = (str(beside.spot), plan.timeframe, CandleType(beside.source))
        frames |= exchange.refresh_latest_ohlcv([key], cache=False)
    return PairSnapshot(
        {key: frame for key, frame in frames.items() if len(frame)},
        now_ms,
        int(_late_candle_grace(exchange) * 1000),
        {pair: price_step(exchange, pair) for pair in (match.perp, match.spot) if pair is not None},
        funding_timeframe,
        beside,
        counted.requests,
    )


def _beside(exchange: Any, match: SpotMatch, plan: Plan) -> SpotMatch | None:
    """Return a second source of a perp's premium for comparison."""
    sources: list[PremiumSource] = ["spot", "index"] if match.is_premium else ["premium_index"]
    (found,) = match_perps(
        exchange.markets,
        plan.settings.model_copy(
            update={"premium_source": [s for s in sources if has_source(exchange.id, s)]}
        ),
        exchange.id,
        [match.perp],
    )
    return found if match.spot is not None and found.spot is not None else None


def _examine_local_data(
    config: Mapping[str, Any], matches: Sequence[SpotMatch], plan: Plan
) -> list[Check]:
    """Check the files that a backtest of these pairs reads."""
    return local_data_checks.examine_local_data(
        Path(config["datadir"]),
        config["dataformat_ohlcv"],
        matches,
        plan.timeframes,
        exchange=config["exchange"]["name"],
        kinds=downloaded_series(plan.thresholds),
    )

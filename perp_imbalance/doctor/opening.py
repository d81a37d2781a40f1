"""Open config, strategy, exchange and pairs as the bot does."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import ccxt
from freqtrade.configuration.config_validation import validate_config_consistency
from freqtrade.configuration.load_config import load_from_files
from freqtrade.enums import RunMode
from freqtrade.exceptions import FreqtradeException
from freqtrade.optimize.hyperopt_tools import HyperoptTools
from freqtrade.plugins.protectionmanager import ProtectionManager
from freqtrade.resolvers import ProtectionResolver

from perp_imbalance.doctor.bot_checks import check_parameter_file
from perp_imbalance.doctor.findings import Check, Level, Report
from perp_imbalance.errors import CommandError, PerpImbalanceError, SettingsError
from perp_imbalance.freqtrade_bridge.config import load_config
from perp_imbalance.freqtrade_bridge.exchange import (
    check_markets,
    closing_exchange,
    load_exchange,
    public_client,
)
from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
from perp_imbalance.freqtrade_bridge.secrets import refusal
from perp_imbalance.freqtrade_bridge.strategies import load_strategy
from perp_imbalance.strategy.order_rules import misspelt_key
from perp_imbalance.strategy.parameters import parameters_of
from perp_imbalance.strategy.settings import Settings

Result = TypeVar("Result")


def attempt(report: Report, name: str, step: Callable[[], Result]) -> Result | None:
    """Return the result of a step; if it fails, add the first line of its error to the report."""
    try:
        return step()
    except PerpImbalanceError as error:
        message = str(error)
    except (FreqtradeException, ImportError) as error:
        message = refusal(error)
    except KeyError as error:
        # freqtrade takes some of a config for granted.
        message = f"the config lacks {error}: compare it with the shipped config.json"
    except (TypeError, AttributeError, ValueError) as error:
        message = f"{error}: compare it with the shipped config.json"
    report.checks.append(Check(name, Level.MUST_FIX, message))
    return None


def open_config(files: Sequence[Path], report: Report, **options: Any) -> dict[str, Any] | None:
    """Return the config; None with a finding if freqtrade refuses it.

    :raises CommandError: if a file is missing or is not JSON.
    """
    names = " + ".join(map(str, files))
    try:
        load_from_files([str(file) for file in files])
    except FreqtradeException:
        # Which says what is wrong with them, as for the other commands.
        load_config(files)
    except AttributeError:
        raise CommandError(f"{names}: a config is a single JSON object, {{...}}") from None
    except (OSError, ValueError) as error:
        raise CommandError(f"{names} cannot be read: {error}") from None
    return attempt(report, "config", lambda: load_config(files, **options))


def is_live(config: Mapping[str, Any]) -> bool:
    """Return whether the bot would trade real money.

    The doctor opens every config as a dry-run; freqtrade keeps the user's original setting.
    """
    return not config.get("original_config", config).get("dry_run", True)


def settings_of(strategy: Any) -> Settings | None:
    """Return the settings that a strategy uses; None if it is not based on PerpImbalance."""
    settings = getattr(strategy, "settings", None)
    return settings if isinstance(settings, Settings) else None


def only_tells(strategy: Any) -> bool:
    """Return whether a bot only sends alerts and never enters."""
    settings = settings_of(strategy)
    return settings is not None and settings.alert_only


class Loaded(NamedTuple):
    """A strategy with its parameters.

    :ivar file: its parameter file; None if it has none.
    :ivar params: values of that file by space.
    """

    strategy: Any
    file: Path | None = None
    params: Mapping[str, Mapping[str, Any]] = {}


def open_strategy(config: dict[str, Any], report: Report, *, live: bool) -> Loaded | None:
    """Return the strategy with the parameters of its file; None with a finding if loading fails.

    :param live: whether to load it as a live bot does, with the checks at start.
    """
    file = attempt(
        report, "strategy", lambda: HyperoptTools.get_strategy_filename(config, config["strategy"])
    )
    file = file.with_suffix(".json") if file else None
    content = None
    if file and file.is_file():
        content = _content(file)
        # Before freqtrade reads it, which stops at some of these without naming the file.
        found = check_parameter_file(file, content, config["strategy"])
        if found.level is not Level.OK:
            report.checks.append(found)
            return None
    config["runmode"] = RunMode.DRY_RUN if live else RunMode.UTIL_EXCHANGE
    strategy = attempt(report, "strategy", lambda: load_strategy(config, with_parameters=True))
    if strategy is None:
        return None
    if file is None or content is None:
        return Loaded(strategy)
    known = parameters_of(strategy)
    report.checks.append(check_parameter_file(file, content, config["strategy"], known))
    return Loaded(strategy, file, ParameterFile.parse(content, file).params)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def load_protections(
    config: dict[str, Any], protections: Sequence[Any], source: str, report: Report
) -> bool:
    """Load protections as the bot does; report those that are invalid or have unknown keys.

    :param config: a config with the strategy's timeframe.
    :param protections: protections of the strategy.
    :param source: where the user can change them, for the message.
    """
    found = [
        attempt(report, "protections", partial(_load_protection, config, protection, place))
        for place, protection in (
            (f"{source}[{number}]", protection) for number, protection in enumerate(protections)
        )
    ]
    return all(found)


def _load_protection(config: dict[str, Any], protection: Any, place: str) -> bool:
    method = protection.get("method") if isinstance(protection, dict) else protection
    try:
        ProtectionManager(config, [protection])
    except (FreqtradeException, AttributeError, KeyError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        found = ProtectionResolver.search_all_objects(config, enum_failed=False)
        known = sorted(str(each["name"]) for each in found)
        if method not in known:
            said = f"freqtrade has no protection {method!r}: known are {', '.join(known)}"
        else:
            said = f"freqtrade refuses {method}: {said}"
        raise SettingsError(f"{place}: {said}") from None
    if found := misspelt_key(protection):
        raise SettingsError(f"{place}: {found}")
    return True


def validate_config(config: dict[str, Any]) -> bool:
    """Validate a config with freqtrade as a bot does after loading its strategy."""
    config["runmode"] = RunMode.DRY_RUN
    validate_config_consistency(config)
    return True


def open_exchange(config: dict[str, Any], report: Report) -> Any | None:
    """Return freqtrade's exchange with its markets; None if it has none or refuses the config.

    The caller closes it.
    """
    # As a utility: a bot's exchange would open websockets.
    config["runmode"] = RunMode.UTIL_EXCHANGE
    exchange = attempt(report, "exchange", lambda: load_exchange(config))
    if exchange is None:
        return None
    if attempt(report, "exchange", lambda: _validated(exchange, config)):
        return exchange
    with closing_exchange(exchange):
        return None


def _validated(exchange: Any, config: dict[str, Any]) -> bool:
    check_markets(exchange)
    exchange.validate_config(config)
    return True


def clock_offset_ms(config: dict[str, Any], exchange: Any) -> int | None:
    """Return this machine's time minus the exchange's in ms; None if the exchange has no clock.

    freqtrade compares them too but only logs the result.
    """
    try:
        client = public_client(config, exchange)
        before = time.time_ns()
        theirs = client.fetch_time()
    except (AttributeError, ccxt.BaseError):
        return None
    # The middle of the request, to compensate for how long it took.
    ours = (before + time.time_ns()) // 2
    return None if theirs is None else int(ours // 10**6 - theirs)

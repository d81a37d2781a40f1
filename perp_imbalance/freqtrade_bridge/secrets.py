"""Keep the secrets of a config out of files and messages."""

import json
import logging
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from perp_imbalance.errors import DataError, SettingsError
from perp_imbalance.files import atomic_write

logger = logging.getLogger(__name__)

REDACTED = "REDACTED"

# Names of settings whose values are secret, wherever they stand. freqtrade's own list comes first
# (sanitize_config); it knows neither the API server's keys nor what ccxt is given.
_SECRET_NAME = re.compile(
    r"secret|password|passphrase|token|credential|authori[sz]ation|cookie"
    # A pair list's sort_key is not secret.
    r"|(^|_)(?<!sort_)(key|uid|login|twofa|auth|chat_id)$|api_?key|private_?key|wallet_?address|account_?id"
    r"|webhook_url|headers$",
    re.IGNORECASE,
)
#: Settings that name a way into the network, for ccxt and aiohttp.
NETWORK_NAME = re.compile(r"prox(y|ies)|^(urls|hostname|trust_env)$", re.IGNORECASE)
# user:password@ in an address, and secrets among its parameters.
_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_IN_QUERY = re.compile(
    r"(?<=[?&])([\w-]*(?:key|token|secret|password|signature)=)[^&\s]+", re.IGNORECASE
)

# The shortest that is hard to guess, by the setting's name.
_SHORTEST = {"password": 12, "jwt_secret_key": 32, "ws_token": 24}
_FEWEST_CHARACTERS = 6
# Parts of what stands in freqtrade's documentation and source, and of what people put in its place.
_EXAMPLES = (
    *("supersecure", "supersecret", "super-secret", "somethingrandom", "freqtrade", "freqtrader"),
    *("password", "changeme", "change-me", "example", "placeholder", "sercet_ws_t0ken"),
    *("secret_ws_t0ken", "letmein", "hunter2"),
)
_ROWS = (
    *("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop"),
    *("abcdefghijklmnopqrstuvwxyz", "0123456789"),
)
_RUN = 4
# A character four times, two or three of them three times, four or more of them twice.
_REPEATED = re.compile(r"(.)\1{3,}|(.{2,3})\2{2,}|(.{4,})\3+")

#: The secrets that a section of the config needs to be enabled.
_NEEDED = {
    "api_server": ("password", "jwt_secret_key"),
    "telegram": ("token", "chat_id"),
    "discord": ("webhook_url",),
    "webhook": ("url",),
}

# Sections in which any setting may be a secret, whatever its name.
_WITH_SECRETS = {*_NEEDED, "exchange", "external_message_consumer"}


def is_secret(name: str) -> bool:
    """Return whether the value of a setting with this name is secret.

    >>> [is_secret(name) for name in ("jwt_secret_key", "apiKey", "timeframe", "max_open_trades")]
    [True, True, False, False]
    """
    return _SECRET_NAME.search(name) is not None


def redact(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a config with redacted secrets, and the names of those that freqtrade does not redact.

    >>> redact({"api_server": {"ws_token": "s3"}, "timeframe": "1h"})
    ({'api_server': {'ws_token': 'REDACTED'}, 'timeframe': '1h'}, ['api_server.ws_token'])
    """
    from freqtrade.configuration import sanitize_config

    found: list[str] = []
    # A section of the wrong type has no keys that freqtrade could look at.
    sections = {name: value for name, value in config.items() if isinstance(value, Mapping)}
    redacted = {**deepcopy(dict(config)), **sanitize_config(deepcopy(sections))}
    return _redact(redacted, "", found), found


def _redact(value: Any, place: str, found: list[str], *, secret: bool = False) -> Any:
    if isinstance(value, Mapping):
        return {
            name: _redact(
                each,
                f"{place}.{name}" if place else str(name),
                found,
                secret=secret or is_secret(str(name)),
            )
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_redact(each, place, found, secret=secret) for each in value]
    if isinstance(value, bool) or value is None or value in ("", REDACTED):
        return value
    new = REDACTED if secret else _redact_address(value) if isinstance(value, str) else value
    if new != value and place not in found:
        found.append(place)
    return new


def _redact_address(text: str) -> str:
    return _IN_QUERY.sub(rf"\1{REDACTED}", _IN_ADDRESS.sub(REDACTED, text))


def without_secrets(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config without secrets, and without proxies and addresses that may contain some.

    >>> without_secrets({"exchange": {"name": "okx", "key": "k", "ccxt_config": {"proxy": "h"}}})
    {'exchange': {'name': 'okx', 'ccxt_config': {}}}
    """
    kept: dict[str, Any] = {}
    for name, value in config.items():
        if is_secret(name) or NETWORK_NAME.search(name):
            continue
        kept[name] = without_secrets(value) if isinstance(value, Mapping) else value
    return _redact(kept, "", [])  # type: ignore[no-any-return]


def redact_result(file: Path) -> list[str]:
    """Redact the secrets of the config in a backtest's result file.

    :return: names of the redacted settings; the file is rewritten if there are any.
    :raises DataError: if the file cannot be read.
    :raises CommandError: if it cannot be written.
    """
    name = f"{file.stem}_config.json"
    try:
        with ZipFile(file) as archive:
            if name not in archive.namelist():
                return []
            config, found = redact(json.loads(archive.read(name)))
            if not found:
                return []
            with atomic_write(file) as part, ZipFile(part, "w") as fresh:
                for entry in archive.infolist():
                    data = json.dumps(config) if entry.filename == name else archive.read(entry)
                    fresh.writestr(entry, data)
    except (BadZipFile, OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read: {error}") from None
    return found


def refusal(error: BaseException) -> str:
    """Return one line about why freqtrade refuses a config, without values of secrets.

    freqtrade's own message contains the value, but not the name of the setting.

    :param error: freqtrade's error; its cause is the schema's error, if there is one.
    """
    from jsonschema.exceptions import ValidationError, best_match

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ValidationError):
        cause = cause.__context__
    message = _redact_address((str(error).strip() or type(error).__name__).splitlines()[0])
    if cause is None:
        return message
    refused = best_match([cause])
    parts = list(map(str, refused.absolute_path))
    path = ".".join(parts)
    said = refused.message
    is_hidden = bool(parts) and (parts[0] in _WITH_SECRETS or any(map(is_secret, parts)))
    if is_hidden or isinstance(refused.instance, dict | list):
        said = said.replace(repr(refused.instance), "its value")
    said = _redact_address(said.splitlines()[0])
    return f"{path}: {said}" if path else said


def check_secrets(config: Mapping[str, Any]) -> None:
    """Raise if an enabled section lacks a secret, or the API server's secret is guessable.

    :param config: freqtrade's config, all files and environment variables merged.
    :raises SettingsError: naming the variable to set.
    """
    for section, names in _NEEDED.items():
        settings = config.get(section, {})
        if not isinstance(settings, Mapping) or not settings.get("enabled"):
            continue
        for name in names:
            if not settings.get(name):
                raise SettingsError(
                    f"{section} is enabled without a {name}: set {_variable(section, name)} in .env"
                )
        if section == "api_server":
            _check_api_server(settings)


def _check_api_server(settings: Mapping[str, Any]) -> None:
    for name in _SHORTEST:
        given = settings.get(name) or []
        for value in given if isinstance(given, list) else [given]:
            if can_be_guessed(str(value), _SHORTEST[name]):
                raise SettingsError(
                    f"the {name} of api_server is short or easy to guess: set "
                    f"{_variable('api_server', name)} in .env to what `openssl rand -hex 32` prints"
                )


def _variable(section: str, name: str) -> str:
    return f"FREQTRADE__{section}__{name}".upper()


def can_be_guessed(secret: str, shortest: int) -> bool:
    """Return whether a secret is short, repetitive or made of common words.

    Keyboard rows and repeated characters count as one character.

    >>> [can_be_guessed(text, 12) for text in ("qwertyuiop1234", "ab1ab1ab1ab1", "Xk2:9dQm_vR7")]
    [True, True, False]
    """
    text = secret.lower()
    rest = _REPEATED.sub("*", _without_rows(text))
    return (
        len(secret) < shortest
        or len(rest) < shortest * 2 / 3
        or len(set(secret)) < _FEWEST_CHARACTERS
        or any(example in text for example in _EXAMPLES)
    )


def _without_rows(text: str) -> str:
    """Replace each sequence along a keyboard row or the alphabet by one character."""
    rest, at = [], 0
    while at < len(text):
        end = at + 1
        while end < len(text) and any(text[at : end + 1] in row for row in _BOTH_WAYS):
            end += 1
        rest.append("*" if end - at >= _RUN else text[at:end])
        at = end
    return "".join(rest)


_BOTH_WAYS = tuple(each for row in _ROWS for each in (row, row[::-1]))

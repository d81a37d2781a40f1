"""Start freqtrade, but never with a secret that is missing, short or copied from an example.

freqtrade only warns of an API server with an empty password, and where no ``jwt_secret_key`` is
set it takes one that everybody can read in its source. The image, the systemd unit and the command
in ``docs/deployment.md`` all start the bot through this file; what follows its name is freqtrade's.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from freqtrade.commands import Arguments
from freqtrade.configuration.environment_vars import environment_vars_to_dict
from freqtrade.configuration.load_config import load_from_files
from freqtrade.exceptions import FreqtradeException
from freqtrade.misc import deep_merge_dicts

from perp_imbalance.errors import PerpImbalanceError, SettingsError

EXIT_USAGE = 2
# The commands that open the API server or send messages.
CHECKED_COMMANDS = ("trade", "webserver")
SECRETS = {
    "api_server": ("password", "jwt_secret_key"),
    "telegram": ("token", "chat_id"),
    "discord": ("webhook_url",),
    "webhook": ("url",),
}
SHORTEST = {"password": 12, "jwt_secret_key": 32}
FEWEST_CHARACTERS = 6
# Parts of what stands in freqtrade's documentation and source, and of what people put in its place.
EXAMPLES = (
    *("supersecure", "supersecret", "super-secret", "somethingrandom", "freqtrade"),
    *("password", "changeme", "change-me", "example", "placeholder"),
)


def check_secrets(config: Mapping[str, Any]) -> None:
    """Raise where an enabled section lacks a secret, or the API server's can be guessed.

    :param config: freqtrade's config, all files and environment variables merged.
    :raises SettingsError: naming the variable to set.
    """
    for section, names in SECRETS.items():
        settings = config.get(section, {})
        if not settings.get("enabled"):
            continue
        for name in names:
            value = str(settings.get(name) or "")
            variable = f"FREQTRADE__{section}__{name}".upper()
            if not value:
                raise SettingsError(
                    f"{section} is enabled without a {name}: set {variable} in .env"
                )
            if name in SHORTEST and can_be_guessed(value, SHORTEST[name]):
                raise SettingsError(
                    f"the {name} of {section} is short or an example: set {variable} in .env to "
                    "what `openssl rand -hex 32` prints"
                )


def can_be_guessed(secret: str, shortest: int) -> bool:
    """Tell whether a secret is short, monotonous or contains what examples are made of."""
    return (
        len(secret) < shortest
        or len(set(secret)) < FEWEST_CHARACTERS
        or any(example in secret.lower() for example in EXAMPLES)
    )


def main(arguments: Sequence[str]) -> None:
    """Check what the config holds, then become freqtrade, or leave with one line."""
    parsed = Arguments(list(arguments)).get_parsed_arg()
    if parsed.get("command") in CHECKED_COMMANDS:
        try:
            config = load_from_files(parsed["config"])
            check_secrets(deep_merge_dicts(environment_vars_to_dict(), config))
        except (PerpImbalanceError, FreqtradeException) as error:
            print(f"perp-imbalance: {error}", file=sys.stderr)
            sys.exit(EXIT_USAGE)
    # The same process: systemd and Docker send their signals to freqtrade itself.
    os.execv(sys.executable, [sys.executable, "-m", "freqtrade", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])

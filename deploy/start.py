"""Start freqtrade, but refuse secrets that are missing, short or copied from an example.

freqtrade only warns about an API server with an empty password, and without a ``jwt_secret_key`` it
uses one that is public in its source. The image, the systemd unit and the command in
``docs/deployment.md`` all start the bot through this file; its arguments are passed to freqtrade.
"""

import os
import sys
from collections.abc import Sequence

from freqtrade.commands import Arguments
from freqtrade.configuration.config_validation import validate_config_schema
from freqtrade.configuration.environment_vars import environment_vars_to_dict
from freqtrade.configuration.load_config import load_from_files
from freqtrade.misc import deep_merge_dicts

from perp_imbalance.errors import PerpImbalanceError
from perp_imbalance.freqtrade_bridge.logs import translate_freqtrade_errors
from perp_imbalance.freqtrade_bridge.secrets import check_secrets

EXIT_USAGE = 2
# The commands that start the API server or send messages.
CHECKED_COMMANDS = ("trade", "webserver")


def main(arguments: Sequence[str]) -> None:
    """Check the config, then replace this process with freqtrade, or exit with one line."""
    parsed = Arguments(list(arguments)).get_parsed_arg()
    if parsed.get("command") in CHECKED_COMMANDS:
        files = parsed["config"]
        try:
            # freqtrade logs the values that it refuses, secrets among them.
            with translate_freqtrade_errors(f"config {' + '.join(files)}"):
                config = deep_merge_dicts(environment_vars_to_dict(), load_from_files(files))
                check_secrets(config)
                validate_config_schema({"dry_run": True, **config})
        except PerpImbalanceError as error:
            print(f"perp-imbalance: {error}", file=sys.stderr)
            sys.exit(EXIT_USAGE)
    # freqtrade runs in this process, so that it receives the signals of systemd and Docker.
    os.execv(sys.executable, [sys.executable, "-m", "freqtrade", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])

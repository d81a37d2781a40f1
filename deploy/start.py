"""Start freqtrade, but never with a secret that is missing, short or copied from an example.

freqtrade only warns of an API server with an empty password, and where no ``jwt_secret_key`` is
set it takes one that everybody can read in its source. The image, the systemd unit and the command
in ``docs/deployment.md`` all start the bot through this file; what follows its name is freqtrade's.
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
# The commands that open the API server or send messages.
CHECKED_COMMANDS = ("trade", "webserver")


def main(arguments: Sequence[str]) -> None:
    """Check what the config holds, then become freqtrade, or leave with one line."""
    parsed = Arguments(list(arguments)).get_parsed_arg()
    if parsed.get("command") in CHECKED_COMMANDS:
        files = parsed["config"]
        try:
            # freqtrade's own log of what it refuses has the values in it, secrets among them.
            with translate_freqtrade_errors(f"config {' + '.join(files)}"):
                config = deep_merge_dicts(environment_vars_to_dict(), load_from_files(files))
                check_secrets(config)
                validate_config_schema({"dry_run": True, **config})
        except PerpImbalanceError as error:
            print(f"perp-imbalance: {error}", file=sys.stderr)
            sys.exit(EXIT_USAGE)
    # The same process: systemd and Docker send their signals to freqtrade itself.
    os.execv(sys.executable, [sys.executable, "-m", "freqtrade", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])

"""Let each strategy trade once in a dry-run: ``dry_run.py CONFIG [CONFIG ...] -- NAME ...``.

Runs in a separate process: a process has one database and one set of signal handlers.
"""

import json
import sys

from freqtrade.configuration import Configuration
from freqtrade.enums import RunMode, State
from freqtrade.freqtradebot import FreqtradeBot
from freqtrade.persistence import Trade


def run(files: list[str], name: str) -> dict[str, object]:
    """Start a bot, enter a position manually, and let the bot process it once."""
    arguments = {"config": files, "strategy": name, "db_url": "sqlite://"}
    bot = FreqtradeBot(Configuration(arguments, RunMode.DRY_RUN).get_config())
    try:
        bot.state = State.RUNNING
        bot.startup()
        bot.process()
        pair = bot.active_pair_whitelist[0]
        entered = bot.execute_entry(pair, 100.0, is_short=True)
        bot.process()
        trades = [trade for trade in Trade.get_trades() if trade.pair == pair]
        return {
            "entered": entered,
            "leverage": trades[-1].leverage,
            "called": sorted(getattr(bot.strategy, "called", ())),
            "enter_z": bot.strategy.enter_z.value,
            "protections": [one["method"] for one in bot.strategy.protections],
        }
    finally:
        bot.cleanup()


if __name__ == "__main__":
    separator = sys.argv.index("--")
    found = {name: run(sys.argv[1:separator], name) for name in sys.argv[separator + 1 :]}
    print(json.dumps(found))

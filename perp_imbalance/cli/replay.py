"""``perp-imbalance replay``: serve a folder of candles through a local copy of Binance's API."""

import argparse
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from perp_imbalance.cli.options import add_datadir
from perp_imbalance.errors import CommandError
from perp_imbalance.files import atomic_write_text

if TYPE_CHECKING:
    from perp_imbalance.replay.testing import AccountReplay

CONFIG = "config/replay.json"
USER_DATA = "user_data"
ACCOUNT_CONFIG = "config/replay-live.json"
MAX_PORT = 65535
MAX_WALLET = 1_000_000_000

EXAMPLE = f"""\
example:
  perp-imbalance replay --datadir user_data/data/binance
and in another terminal
  freqtrade trade -c config.json -c {CONFIG}
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the subcommand ``replay``."""
    parser = subparsers.add_parser(
        "replay",
        help="serve a folder of candles on 127.0.0.1 as if it were Binance",
        description="Serve a folder of candles on 127.0.0.1 as if it were Binance, until Ctrl-C.",
        epilog=EXAMPLE,
    )
    add_datadir(parser, "in freqtrade's layout, as freqtrade's own --datadir", required=True)
    parser.add_argument(
        "--port",
        type=int,
        metavar="N",
        help=f"port to listen on, 0 for any free one (default: the one in {CONFIG}); for "
        f"another port, or in a folder without {CONFIG}, the config is {USER_DATA}/replay-N.json "
        "while the replay runs",
    )
    parser.add_argument(
        "--clock",
        metavar="ISO-TIME",
        help="serve nothing later than this moment, such as 2024-03-01T12:00 in UTC, for as long "
        "as the command runs (default: the clock of this machine)",
    )
    parser.add_argument(
        "--wallet",
        type=float,
        metavar="USDT",
        help=f"also accept orders, for an account of this size; its keys are in "
        f"{ACCOUNT_CONFIG} (not together with --clock)",
    )
    parser.add_argument(
        "--faults",
        type=Path,
        metavar="FILE",
        help="JSON list of faults and their times, to test how a bot handles them",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    clock = _standing_clock(arguments.clock) if arguments.clock is not None else None
    if arguments.port is not None and not 0 <= arguments.port <= MAX_PORT:
        raise CommandError(f"--port must be a number from 0 (any free port) to {MAX_PORT}")
    if arguments.wallet is not None and not 0 < arguments.wallet < MAX_WALLET:
        raise CommandError(f"--wallet must be more than 0 and less than {MAX_WALLET:,} USDT")
    if arguments.wallet is not None and clock is not None:
        raise CommandError(
            "--wallet needs a clock that runs, because orders are signed with the time: "
            "leave --clock out"
        )
    # Imported late: freqtrade takes seconds to import, and other subcommands do not need it.
    from perp_imbalance.replay import DEFAULT_PORT
    from perp_imbalance.replay.server import system_clock
    from perp_imbalance.replay.testing import AccountTerms, read_faults, running_test_replay

    account = None
    if arguments.wallet is not None:
        account = AccountTerms(Decimal(str(arguments.wallet)))
    port = DEFAULT_PORT if arguments.port is None else arguments.port
    faults = [] if arguments.faults is None else read_faults(arguments.faults)
    with (
        running_test_replay(
            arguments.datadir,
            port=port,
            clock=clock or system_clock,
            account=account,
            faults=faults,
        ) as replay,
        _config_of(replay.url, standard=replay.port == DEFAULT_PORT) as config,
    ):
        print(_announcement(replay, config), flush=True)
        threading.Event().wait()
    return 0


@contextmanager
def _config_of(url: str, *, standard: bool) -> Iterator[Path]:
    """Yield the config file that points freqtrade at the replay.

    A replay on a port other than the standard one gets a new config file, which is deleted when
    the replay ends. A bot started later then stops because the file is missing, and does not trade
    on whatever answers on that port.

    :raises CommandError: if the file cannot be written.
    """
    from perp_imbalance.replay import replay_config

    if standard and Path(CONFIG).is_file():
        yield Path(CONFIG)
        return
    file = Path(USER_DATA, f"replay-{url.rpartition(':')[2]}.json")
    atomic_write_text(file, json.dumps(replay_config(url), indent=4))
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def _standing_clock(text: str) -> Callable[[], int]:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"--clock cannot read {text!r} as a time, write it as 2024-03-01T12:00"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    milliseconds = int(moment.timestamp() * 1000)
    return lambda: milliseconds


def _announcement(replay: "AccountReplay", config: Path) -> str:
    from perp_imbalance.replay.candle_store import Market

    spot, perps = (len(replay.store.symbols(market)) for market in (Market.SPOT, Market.PERP))
    begin, end = (_utc(time) for time in replay.store.span())
    use = f"add -c {config} to freqtrade's options"
    if replay.trading:
        use += f" and, to trade its {replay.account.wallet} USDT, -c {ACCOUNT_CONFIG} behind it"
    return (
        f"Replaying {spot} spot pairs and {perps} perps from {begin} to {end} UTC on {replay.url} "
        f"until Ctrl-C; {use}."
    )


def _utc(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M}"

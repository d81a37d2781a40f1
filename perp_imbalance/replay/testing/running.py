"""Run a replay exchange for tests, with an account and faults."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from perp_imbalance.errors import ReplayError
from perp_imbalance.replay.running import Replay, serving
from perp_imbalance.replay.server import Clock, system_clock
from perp_imbalance.replay.testing.account import Account, AccountTerms
from perp_imbalance.replay.testing.answer_faults import skewed
from perp_imbalance.replay.testing.faults import Fault, FaultyStore
from perp_imbalance.replay.testing.faulty_exchange import FaultyExchange, http_faults, silences
from perp_imbalance.replay.testing.orders import add_account_routes
from perp_imbalance.replay.testing.prices import StoredPrices


@dataclass(frozen=True)
class AccountReplay(Replay):
    """A running replay exchange and its account; None if it takes no orders."""

    trading: Account | None = None

    @property
    def account(self) -> Account:
        """The account.

        :raises ReplayError: if the exchange was started without one.
        """
        if self.trading is None:
            raise ReplayError("the replay exchange was started without an account")
        return self.trading


@contextmanager
def running_test_replay(
    datadir: Path,
    *,
    port: int = 0,
    clock: Clock = system_clock,
    extra_pairs: Iterable[str] = (),
    account: AccountTerms | None = None,
    faults: Sequence[Fault] = (),
) -> Iterator[AccountReplay]:
    """Serve a folder of candles as ``running_replay`` does, with an account and faults.

    :param account: the initial state of an account; without it the exchange takes no orders
    :param faults: the faults and their times
    :raises DataError: if the folder has no candles, or not those of a fault
    :raises ReplayError: if the port is in use
    """
    store = FaultyStore(datadir, extra_pairs, faults, clock)
    exchange = FaultyExchange(store, faults, clock)
    exchange.prepare()
    app = exchange.app()
    # Last of all, so that the exchange has noted a request before it goes wrong.
    app.middlewares.append(http_faults(faults, clock))
    app.on_response_prepare.append(silences(faults, clock))
    trading = Account(account, StoredPrices(store, exchange.quote)) if account else None
    if trading:
        add_account_routes(app, trading, clock, skewed(faults, clock))
    with serving(app, port) as bound:
        yield AccountReplay(bound, store, exchange, trading)

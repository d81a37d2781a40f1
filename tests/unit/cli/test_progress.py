"""The bar of a command tells how far it is, and hears an interrupt."""

import signal
from contextlib import suppress

import pytest

from perp_imbalance.cli.progress import progress
from perp_imbalance.freqtrade_bridge.process import ended_by_signals


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]
)
def test_interrupt_that_got_lost_ends_the_next_step(
    number: signal.Signals, error: type[BaseException]
) -> None:
    before = signal.getsignal(number)
    with ended_by_signals(), progress() as tell:
        tell("first", 1, 3)
        with suppress(error):
            signal.raise_signal(number)
        with pytest.raises(error):
            tell("second", 2, 3)
    assert signal.getsignal(number) is before
    with ended_by_signals(), progress() as tell:
        tell("first of another command", 1, 3)


def test_signal_that_a_process_was_told_to_ignore_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)

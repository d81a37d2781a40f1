"""The bar of a command tells how far it is, and hears an interrupt."""

import ctypes
import signal
import sys
from contextlib import suppress
from typing import Any

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


def test_interrupt_lost_in_a_callback_prints_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    called_from_c = ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGINT))
    broken = ctypes.CFUNCTYPE(None)(lambda: [].pop())
    with ended_by_signals(), progress() as tell:
        called_from_c()
        assert not reported
        broken()
        assert [each.exc_type for each in reported] == [IndexError]
        with pytest.raises(KeyboardInterrupt):
            tell("next", 1, 3)


def test_signal_that_a_process_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)

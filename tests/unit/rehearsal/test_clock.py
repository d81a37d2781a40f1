"""The stepped clock moves where the bot waits, and nowhere else."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perp_imbalance.rehearsal.clock import SteppedClock, even_looks, next_look

START = datetime(2025, 9, 18, tzinfo=UTC)


@pytest.fixture
def clock() -> Iterator[SteppedClock]:
    with SteppedClock(START) as clock:
        yield clock


def test_time_stands_still_while_the_process_works(clock: SteppedClock) -> None:
    begun = time.monotonic()
    while time.monotonic() == begun:
        pass
    assert datetime.now(UTC) == START
    assert time.time() == clock.now() == START.timestamp()


def test_sleep_on_the_main_thread_moves_the_clock(clock: SteppedClock) -> None:
    begun = time.monotonic()
    time.sleep(3600)
    assert time.monotonic() - begun < 60
    assert datetime.now(UTC) == START + timedelta(hours=1)


def test_sleep_on_another_thread_waits(clock: SteppedClock) -> None:
    waited = []

    def wait() -> None:
        begun = time.monotonic()
        time.sleep(0.001)
        waited.append(time.monotonic() - begun)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert waited[0] >= 0.001
    assert datetime.now(UTC) == START


def test_other_threads_read_the_stepped_clock(clock: SteppedClock) -> None:
    read = []
    clock.move_to(START.timestamp() + 60)
    thread = threading.Thread(target=lambda: read.append(datetime.now(UTC)))
    thread.start()
    thread.join()
    assert read == [START + timedelta(minutes=1)]


def test_process_gets_its_clock_back() -> None:
    sleep, before = time.sleep, time.time()
    with SteppedClock(START):
        assert time.sleep is not sleep
    assert time.sleep is sleep
    assert before <= time.time() < before + 60


@given(
    st.integers(0, 10**7), st.sampled_from([300, 3600, 14400]), st.integers(1, 8), st.floats(0, 1)
)
def test_every_look_comes_once_and_in_order(
    hour: int, candle: int, count: int, part: float
) -> None:
    offsets = even_looks(count, candle)
    opened = hour * candle
    looks, now = [], opened + offsets[0] - 1
    for _ in range(2 * count):
        now = next_look(now + part * 0.5, candle, offsets)
        looks.append(now)
    assert looks == [opened + begin + offset for begin in (0, candle) for offset in offsets]

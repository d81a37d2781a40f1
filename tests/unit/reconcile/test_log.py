"""What a bot's log tells of candles and orders, whatever its clock says."""

from pathlib import Path

import pandas as pd
import pytest
from support.bot_record import CANDLE, PAIR, at

from perp_imbalance.errors import DataError
from perp_imbalance.reconcile import BotLog, read_log

SAID = "z +0.80, premium +0.010 %, deviation +1.0 bps, bias none, no entry: no bias"
UNFILLED = (
    "Sell order fully cancelled. Removing Trade(id=3, pair=BTC/USDT:USDT, amount=1.00000000, "
    "is_short=True, leverage=1.0, open_rate=1.00000000, open_since=2025-03-01 12:00:01) from "
    "database."
)


def line(time: pd.Timestamp, said: str, source: str = "perp_imbalance.strategy.feed") -> str:
    return f"{time:%Y-%m-%d %H:%M:%S},123 - {source} - INFO - {said}\n"


@pytest.mark.parametrize("shift", [0.0, 5.5, -7.0])
def test_looks_are_reported_in_utc_in_any_timezone(shift: float, tmp_path: Path) -> None:
    file = tmp_path / "bot.log"
    candles = range(3)
    text = "".join(
        line(at(hour + 1 + shift + 0.002), f"{PAIR} {at(hour):%Y-%m-%d %H:%M}: {SAID}")
        for hour in candles
    )
    file.write_text(
        f"{text}no line of a log\n{line(at(12.25 + shift), UNFILLED, 'freqtrade.freqtradebot')}"
    )
    log = read_log([file], CANDLE)
    assert [look.floor("min") for look in log.looks] == [at(1), at(2), at(3)]
    assert log.seen == {(PAIR, at(hour)): SAID for hour in candles}
    (order,) = log.unfilled
    assert order[:3] == (PAIR, True, pd.Timestamp("2025-03-01 12:00:01", tz="UTC"))
    assert order.removed == at(12.25)


def test_rotated_logs_are_one(tmp_path: Path) -> None:
    files = [tmp_path / "bot.log", tmp_path / "bot.log.1"]
    for hour, file in enumerate(files):
        file.write_text(line(at(hour + 1), f"{PAIR} {at(hour):%Y-%m-%d %H:%M}: {SAID}"))
    assert read_log(files[::-1], CANDLE).looks == (at(1), at(2))


def test_causes_are_unknown_without_a_log() -> None:
    assert read_log([], CANDLE) == BotLog()


@pytest.mark.parametrize(
    ("text", "said"), [(None, "bot.log cannot be read"), ("nothing", "has no line of a candle")]
)
def test_log_that_tells_nothing_is_refused(text: str | None, said: str, tmp_path: Path) -> None:
    if text:
        (tmp_path / "bot.log").write_text(text)
    with pytest.raises(DataError, match=said):
        read_log([tmp_path / "bot.log"], CANDLE)


def test_bot_that_waits_for_a_spot_price_is_not_down(tmp_path: Path) -> None:
    beat = "Bot heartbeat. PID=7, version='2026.9', state='RUNNING'"
    lines = [
        line(at(1.002), f"{PAIR} {at(0):%Y-%m-%d %H:%M}: {SAID}"),
        line(at(2.01), beat, "freqtrade.worker"),
        line(at(3.01), beat.replace("RUNNING", "STOPPED"), "freqtrade.worker"),
    ]
    (tmp_path / "bot.log").write_text("".join(lines))
    looks = read_log([tmp_path / "bot.log"], CANDLE).looks
    assert [look.floor("min") for look in looks] == [at(1), at(2)]

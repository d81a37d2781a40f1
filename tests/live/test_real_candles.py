"""On real candles, with a halt of spot, ``rehearse`` knows the cause of every difference."""

import json
import shutil
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import pytest
from support.freqtrade import CONFIG, ROOT, shared_candles
from support.reliability import FULL, publish, table

from perp_imbalance.cli.main import run

pytestmark = pytest.mark.freqtrade

CANDLES = "1h_2020_2023"
PAIRS = ["BTC/USDT:USDT", "ETH/USDT:USDT"]
# Spot was halted on 2021-02-11; in a full run, six weeks round it.
TIMERANGE = "20210201-20210315" if FULL else "20210210-20210212"
STRATEGIES = ["PerpImbalanceAggressive", "PerpImbalance"] if FULL else ["PerpImbalanceAggressive"]
LOOKS = 2
CAUSES = ["spread", "stop", "delay", "fees", "funding", "rest"]

each_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


@pytest.fixture(scope="module")
def rehearsals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the command says of each strategy."""
    datadir, folder = shared_candles(CANDLES), tmp_path_factory.mktemp("real")
    shutil.copytree(ROOT / "strategies", folder / "strategies")
    (folder / "user_data").mkdir()
    command = ["rehearse", "-c", str(CONFIG), "--datadir", str(datadir), "--pairs", *PAIRS]
    command += ["--timerange", TIMERANGE, "--looks", str(LOOKS), "--json"]
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # Under pytest, freqtrade writes no file of its log.
        patch.delenv("PYTEST_VERSION")
        for strategy in STRATEGIES:
            output = StringIO()
            with redirect_stdout(output), pytest.raises(SystemExit) as left:
                run([*command, "--strategy", strategy, "--output", strategy])
            found[strategy] = {**json.loads(output.getvalue()), "code": left.value.code}
    return found


@each_strategy
def test_bot_enters_where_the_backtest_does(
    rehearsals: dict[str, dict[str, Any]], strategy: str
) -> None:
    told = rehearsals[strategy]
    assert told["entries"] == told["backtest_trades"] == told["bot_trades"] >= 4


@each_strategy
def test_every_difference_from_the_backtest_has_a_cause(
    rehearsals: dict[str, dict[str, Any]], strategy: str
) -> None:
    told = rehearsals[strategy]
    assert (told["code"], told["explained"]) == (0, True)
    assert all(each["cause"] for each in told["differences"])


def test_differences_are_published(rehearsals: dict[str, dict[str, Any]]) -> None:
    header = ["strategy", "trades of backtest, bot", "same entries, exits", *CAUSES]
    rows = [
        [
            *(strategy, f"{told['backtest_trades']}, {told['bot_trades']}"),
            f"{told['entries']}, {told['closed']}",
            *(f"{told['profit_bps'][cause]:+.2f}" for cause in CAUSES),
        ]
        for strategy, told in rehearsals.items()
    ]
    begun = f"{', '.join(PAIRS)}, {TIMERANGE}, {LOOKS} looks in a candle of 1h; mean difference of "
    begun += "a trade's profit, bot minus backtest, in bps of the stake, by cause.\n\n"
    others = [
        f"- {strategy}, {each['pair']} {each['side']}, {each['kind']}: backtest "
        f"{each['backtest']}, bot {each['bot']}: {each['cause']}"
        for strategy, told in rehearsals.items()
        for each in told["differences"]
    ]
    listed = "\n".join(others) or "No entry, tag, exit or exit's candle differs."
    publish("differences", f"{begun}{table(header, rows)}\n\n{listed}")

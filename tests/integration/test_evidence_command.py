"""The commands of research: what evidence writes, and what it and sweep refuse in a line."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.freqtrade import ROOT, perp_imbalance, refused
from support.pages import page_text

from perp_imbalance.cli.main import build_parser
from perp_imbalance.indicators import PRESETS

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


def configure(folder: Path, **settings: Any) -> None:
    """Change settings of the project in the config of a folder."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["perp_imbalance"] |= settings
    (folder / "config.json").write_text(json.dumps(config), "utf-8")


def market_without(files: str, sample_datadir: Path, place: Path) -> Path:
    """Copy the sample market, but for the files of a pattern."""
    datadir = place / "binance"
    shutil.copytree(sample_datadir, datadir)
    for file in datadir.rglob(files):
        file.unlink()
    return datadir


@pytest.fixture(scope="module")
def lean_datadir(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample market without candles of the higher timeframe."""
    return market_without("*-4h*.feather", sample_datadir, tmp_path_factory.mktemp("lean"))


@pytest.fixture(scope="module")
def rateless_datadir(sample_datadir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample market without funding rates."""
    return market_without("*funding_rate*", sample_datadir, tmp_path_factory.mktemp("rateless"))


def test_command_writes_json_and_page(folder: Path, sample_datadir: Path) -> None:
    process = perp_imbalance(
        *("evidence", "--datadir", str(sample_datadir), "--pairs", "BTC/USDT:USDT"),
        *("--horizons", "4", "--draws", "200", "--json"),
        cwd=folder,
    )
    assert process.returncode == 0, process.stderr
    content = json.loads(process.stdout)
    (file,) = (folder / "user_data" / "evidence").glob("*.json")
    assert json.loads(file.read_text("utf-8")) == content
    assert {row["horizon"] for row in content["findings"]} == {4}
    page = page_text(file.with_suffix(".html"))
    assert content["verdict"] in page
    assert content["left_out"] == []
    assert "flip (no trade)" in page
    assert "A flip of the bias is not a trade" in page
    assert page.index("95 % interval, bps") < page.index("Fixed horizons, pair by pair")
    for head in ("Against signals that mean nothing", "By size of the deviation", "By pair"):
        assert head in page
    assert {row["side"] for row in content["traded"]["traded"]} == {"long", "short", "both"}


def test_entries_whose_gate_has_no_series_are_left_out_in_words(
    folder: Path, lean_datadir: Path
) -> None:
    # 5h does not divide a day, so it is not made from 1h.
    configure(folder, htf_timeframe="5h")
    process = perp_imbalance(
        *("evidence", "--datadir", str(lean_datadir), "--horizons", "4", "--draws", "100"),
        *("--pairs", "BTC/USDT:USDT", "ETH/USDT:USDT"),
        cwd=folder,
    )
    assert process.returncode == 0, process.stderr
    said = (
        "BTC/USDT:USDT, ETH/USDT:USDT: entries of conservative left out: the HTF gate has no 5h "
        "candles of it"
    )
    assert said in process.stdout.splitlines()
    assert process.stderr.count("entries of conservative left out") == 1
    (file,) = (folder / "user_data" / "evidence").glob("*.json")
    assert json.loads(file.read_text("utf-8"))["left_out"] == [said]
    assert said in page_text(file.with_suffix(".html"))


@pytest.mark.parametrize(
    ("command", "options", "key"),
    [
        ("evidence", ["--draws", "100"], "left_out"),
        ("sweep", ["--enter-z", "1.3:1.9:0.2", "--exit-z", "0.5,0.9"], "notes"),
    ],
)
def test_net_returns_without_funding_are_said_to_be_so(
    command: str, options: list[str], key: str, folder: Path, rateless_datadir: Path
) -> None:
    (folder / "strategies").symlink_to(ROOT / "strategies")
    process = perp_imbalance(
        *(command, "--datadir", str(rateless_datadir), "--pairs", BTC, ETH),
        *("--horizons", "4", "--json", *options),
        cwd=folder,
    )
    assert process.returncode == 0, process.stderr
    said = f"{BTC}, {ETH}: no funding rates: net returns leave funding out"
    assert process.stderr.count(said) == 1
    assert json.loads(process.stdout)[key] == [said]
    (page,) = (folder / "user_data" / command).glob("*.html")
    assert said in page_text(page)


def test_higher_timeframe_is_the_one_that_a_backtest_would_take(
    folder: Path, sample_datadir: Path
) -> None:
    configure(folder, htf_timeframe="5h")
    process = perp_imbalance(
        *("evidence", "--datadir", str(sample_datadir), "--horizons", "4", "--draws", "100"),
        *("--pairs", "BTC/USDT:USDT", "--json"),
        cwd=folder,
    )
    assert "no 5h candles in the folder: higher timeframe 4h" in process.stderr
    content = json.loads(process.stdout)
    assert content["htf_timeframe"] == "4h"
    # The gate has its series.
    assert content["left_out"] == []


@pytest.mark.parametrize("command", ["evidence", "sweep", "tune", "walk-forward", "backtest"])
def test_pair_that_is_named_twice_counts_once(command: str) -> None:
    arguments = build_parser().parse_args([command, "--pairs", ETH, BTC, ETH])
    assert arguments.pairs == [ETH, BTC]
    assert build_parser().parse_args([command]).pairs is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--horizons", "0"], "a horizon is 0, it must be at least 1"),
        (["--horizons", "x"], "'x' is not a number of candles to hold: write 20,50 or 20:80:10"),
        (["--block", "23"], "block is 23, it must be at least the longest horizon (24)"),
        (["--draws", "1"], "draws is 1, it must be at least 100"),
        (["--seed", "-1"], "--seed is -1, it must be from 0 to 2147483647"),
        (["--fee", "nan"], "--fee is nan, it must be at least 0 and below 1"),
        (["--htf-timeframe", "7m"], "htf_timeframe is 7m, it must be a multiple of the timeframe"),
        (["--htf-timeframe", "1w"], "has no 1w candles for the HTF gate; timeframes there: 1h, 4h"),
        (
            ["--pairs", "X/USDT:USDT"],
            "no 1h candles of X/USDT:USDT; perps there on 1h: 1000PEPE",
        ),
        (
            ["--timerange", "20251220-"],
            "too few candles for a conclusion: the span is shorter than",
        ),
        (["--stoploss", "0"], "--stoploss is 0, it must be above 0 and at most 1"),
        (["--stoploss", "nan"], "--stoploss is nan, it must be above 0 and at most 1"),
        (["--nulls", "20"], "--nulls is 20, it must be 0 (none) or at least 200"),
        (["--test", "20250301-"], "--test and --freeze go together: what is decided is written"),
        (["--freeze", "choices.json"], "--test and --freeze go together: what is decided"),
        (["--validation", "20250301-"], "--validation and --test need --design"),
        (["--design", "2025"], "--design is '2025': write a timerange, and pairs"),
        (
            ["--design", "-20250301", "--validation", "20250201-"],
            "--design and --validation share candles",
        ),
        (
            ["--design", "20200101-20250301@X/USDT:USDT"],
            "--design names pairs without candles: X/USDT:USDT; pairs",
        ),
        (["--design", "20200101-20200201"], "--design has no candles: name a time that"),
        (["--datadir", "nowhere"], "there is no folder nowhere"),
    ],
)
def test_study_without_candles_is_refused_in_one_line(
    folder: Path,
    sample_datadir: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    said = refused(["--datadir", str(sample_datadir), *arguments], capsys)
    assert message in " ".join(said.split())
    assert not (folder / "user_data" / "evidence").exists()


def test_same_pair_in_two_folders_is_refused(
    folder: Path,
    sample_datadir: Path,
    lean_datadir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    both = ["--datadir", str(sample_datadir), "--datadir", str(lean_datadir)]
    said = " ".join(refused([*both, "--pairs", BTC], capsys).split())
    assert f"{BTC} is in {sample_datadir} and in {lean_datadir}: name one of them" in said
    said = " ".join(refused([*both, "--pairs", "X/USDT:USDT"], capsys).split())
    assert "no folder has 1h candles of X/USDT:USDT" in said


def test_pairs_of_several_folders_are_pooled(
    folder: Path, sample_datadir: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(sample_datadir, other)
    for file in other.rglob("BTC_*"):
        file.unlink()
    one = tmp_path / "one"
    shutil.copytree(sample_datadir, one)
    for file in one.rglob("ETH_*"):
        file.unlink()
    process = perp_imbalance(
        *("evidence", "--datadir", str(one), "--datadir", str(other), "--pairs", BTC, ETH),
        *("--horizons", "4", "--draws", "100", "--nulls", "0", "--json"),
        cwd=folder,
    )
    assert process.returncode == 0, process.stderr
    content = json.loads(process.stdout)
    assert content["datadir"] == f"{one}, {other}"
    tables = content["traded"]
    assert {row["pair"] for row in tables["by_pair"]} == {BTC, ETH}
    counts = {row["preset"]: row["trades"] for row in tables["traded"] if row["side"] == "both"}
    for preset, trades in counts.items():
        assert trades == sum(r["trades"] for r in tables["by_pair"] if r["preset"] == preset)
    assert tables["nulls"] == []


def test_test_part_needs_a_freeze_and_looks_are_counted(folder: Path, sample_datadir: Path) -> None:
    command = [
        *("evidence", "--datadir", str(sample_datadir), "--pairs", BTC, ETH, "--horizons", "4"),
        *("--draws", "100", "--nulls", "200", "--block", "24", "--json"),
        *("--design", "-20250301", "--test", "20250301-", "--freeze", "choices.json"),
    ]
    parts, looks, said = [], [], []
    for _ in range(3):
        process = perp_imbalance(*command, cwd=folder)
        assert process.returncode == 0, process.stderr
        content = json.loads(process.stdout)
        tables = content["traded"]
        parts.append({row["part"] for rows in tables.values() for row in rows if "part" in row})
        looks.append(len(content["looks"]))
        said.append(content["traded_verdict"][-1])
        # A shifted premium may leave a strict preset without a trade.
        assert max(row["nulls"] for row in tables["nulls"]) == 200
    assert parts == [{"design"}, {"design", "test"}, {"design", "test"}]
    assert looks == [0, 1, 2]
    assert "the test set was not computed" in said[0]
    assert "first look at the test set" in said[1]
    assert "look number 2 at this test set" in said[2]
    frozen = json.loads((folder / "choices.json").read_text("utf-8"))["frozen"]
    assert frozen["options"]["fee"] == 0.0005
    assert set(frozen["thresholds"]) == set(PRESETS)
    # The one that the config or the default gave: no option named it.
    assert frozen["timeframe"] == "1h"
    assert set(frozen["candles"]) == {BTC, ETH}
    changed = perp_imbalance(*command, "--fee", "0.0004", cwd=folder)
    assert changed.returncode == 2
    assert "was frozen with other options, method: the test set is for what was" in " ".join(
        changed.stderr.split()
    )


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        ("use_oi", "BTC/USDT:USDT in {}: the open interest gate has no open interest of it"),
        ("use_funding", "BTC/USDT:USDT in {}: the funding gate has no funding rate of it"),
    ],
)
@pytest.mark.parametrize("command", ["evidence", "sweep"])
def test_gate_of_every_preset_without_its_series_is_refused(
    folder: Path,
    sample_datadir: Path,
    switch: str,
    message: str,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    datadir = folder / "binance"
    shutil.copytree(sample_datadir, datadir)
    for file in datadir.rglob("*funding_rate.feather"):
        file.unlink()
    configure(folder, **{switch: True})
    monkeypatch.chdir(folder)
    arguments = ["--datadir", str(datadir), "--pairs", "BTC/USDT:USDT"]
    arguments += ["--enter-z", "1.5,1.7"] if command == "sweep" else []
    said = " ".join(refused(arguments, capsys, command).split())
    assert f"{message.format(datadir)}: download what is missing, or take the gate off" in said
    assert not list(folder.glob(f"user_data/{command}/*"))


@pytest.mark.parametrize("command", ["evidence", "sweep"])
def test_unwritable_output_folder_is_refused_first(
    folder: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "user_data" / command).write_text("a file")
    monkeypatch.chdir(folder)
    arguments = ["--enter-z", "1.5,1.7"] if command == "sweep" else []
    said = " ".join(refused(["--datadir", "nowhere", *arguments], capsys, command).split())
    assert f"user_data/{command}: Not a directory" in said

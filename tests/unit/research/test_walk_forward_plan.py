"""A walk-forward's folder is gone on with only by what it was begun with."""

import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.freqtrade import ROOT

from perp_imbalance.errors import CommandError
from perp_imbalance.research.walk_forward.run import Cluster, Store, run_windows
from perp_imbalance.research.walk_forward.task import Bundle, Fit, code_versions, package_sources
from perp_imbalance.research.walk_forward.worker import run_window
from perp_imbalance.research.windows import split

BTC = "BTC/USDT:USDT"
DAY = timedelta(days=1)
START = datetime(2024, 1, 1, tzinfo=UTC)
WINDOWS = split(START, START + 70 * DAY, 30 * DAY, 20 * DAY)


def bundle(**changed: Any) -> Bundle:
    fit = Fit("PerpImbalance", ["buy"], 3, "Loss", min_trades=1, seed=1, presets=[])
    begun = Bundle(
        fit=fit,
        pairs=[BTC],
        wallet=1000.0,
        config={"timeframe": "1h", "exchange": {"name": "binance"}},
        files={"futures/BTC.feather": b"candles", "ETH.feather": b"others"},
        strategies={"PerpImbalance.py": "class PerpImbalance"},
        losses={},
        code={"this project": "0a", "freqtrade": "2026.9"},
    )
    return replace(begun, **changed)


def test_only_the_same_plan_resumes_a_folder(tmp_path: Path) -> None:
    Store(tmp_path, bundle(pairs=["ETH/USDT:USDT"]).plan(WINDOWS))
    # Nothing was run: a mistyped option locks no folder.
    Store(tmp_path, bundle().plan(WINDOWS)).keep({"window": WINDOWS[0].name})
    again = Store(tmp_path, bundle().plan(WINDOWS))
    assert list(again.finished(WINDOWS)) == [WINDOWS[0].name]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fit": replace(bundle().fit, epochs=4, seed=2)}, "options (epochs, seed)"),
        (
            {"files": {"futures/BTC.feather": b"other", "ETH.feather": b"others"}},
            "candles (futures/",
        ),
        ({"strategies": {"PerpImbalance.py": "class Perp"}}, "strategy files (PerpImbalance.py)"),
        ({"losses": {"Own.py": "class Own"}}, "hyperopt losses (Own.py)"),
        ({"config": {"timeframe": "1h"}}, "config (exchange)"),
        ({"code": {"this project": "0b", "freqtrade": "2026.9"}}, "code (this project)"),
        ({"code": {"this project": "0a", "freqtrade": "2026.10"}}, "code (freqtrade)"),
        ({"pairs": [], "wallet": 2000.0}, "pairs, wallet"),
    ],
)
def test_folder_of_another_plan_is_refused_by_what_changed(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    Store(tmp_path, bundle().plan(WINDOWS)).keep({"window": WINDOWS[0].name})
    message = f"{tmp_path} holds a walk-forward that was begun before this changed: {said}"
    with pytest.raises(CommandError, match=re.escape(message)) as error:
        Store(tmp_path, bundle(**changed).plan(WINDOWS))
    assert "name a new folder with --out" in str(error.value)


def test_folder_without_code_hash_counts_as_other_code(tmp_path: Path) -> None:
    """Versions before this one wrote down only candles and sources."""
    Store(tmp_path, bundle().plan(WINDOWS)).keep({"window": WINDOWS[0].name})
    (tmp_path / "plan.json").write_text('{"files_and_sources": "0a", "pairs": []}')
    with pytest.raises(CommandError, match=r"changed: code \(this project\); windows of both"):
        Store(tmp_path, bundle().plan(WINDOWS))


@pytest.mark.parametrize("name", ["markets/spot_matching.py", "indicators/zscore.py"])
def test_code_is_every_module_of_the_package(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a clone, where the room of the mathematics is a link, and where it is installed."""
    in_the_clone = package_sources()
    assert {"__init__.py", "indicators/__init__.py", name} <= in_the_clone.keys()
    package = tmp_path / "perp_imbalance"
    shutil.copytree(ROOT / "perp_imbalance", package)
    monkeypatch.setattr("perp_imbalance.__file__", str(package / "__init__.py"))
    mathematics = package / "indicators" / "__init__.py"
    monkeypatch.setattr("perp_imbalance.indicators.__file__", str(mathematics))
    assert package_sources() == in_the_clone
    before = code_versions()
    assert bundle().code.keys() == before.keys()
    text = (package / name).read_text("utf-8")
    (package / name).write_text(f"{text}\n", encoding="utf-8")
    assert code_versions() != before
    (package / name).write_text(text, encoding="utf-8")
    assert code_versions() == before
    monkeypatch.setattr("freqtrade.__version__", "2026.8")
    assert code_versions() == before | {"freqtrade": "2026.8"}


def test_worker_with_other_code_refuses_its_window() -> None:
    other = {**code_versions(), "freqtrade": "2026.8"}
    said = run_window(bundle(code=other), WINDOWS[0], "run")["refused"]
    assert re.search(r"the worker on .+ has other code than .+ \(freqtrade\), or it was", said)


def test_window_is_refused_whose_code_changed_while_it_ran(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def computed(*_: Any) -> dict[str, Any]:
        monkeypatch.setattr("freqtrade.__version__", "2026.8")
        return {"window": WINDOWS[0].name}

    monkeypatch.setattr("perp_imbalance.research.walk_forward.worker._computed", computed)
    said = run_window(bundle(code=code_versions()), WINDOWS[0], "run")["refused"]
    assert "or it was changed meanwhile" in said


def test_run_that_is_done_says_that_nothing_was_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path, bundle().plan(WINDOWS))
    for window in WINDOWS:
        store.keep({"window": window.name})
    with caplog.at_level("INFO"):
        run_windows(bundle(), WINDOWS, store, Cluster(), lambda *_: None)
    assert "all 2 windows were there already, nothing was run" in caplog.text

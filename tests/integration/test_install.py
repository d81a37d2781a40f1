"""The wheel, installed beside a freqtrade that exists already, as docs/installation.md has it.

The way with a clone is ``make backtest``: test_backtest_with_freqtrade.py and the workflow.
"""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from secrets import token_hex

import pytest
from freqtrade.configuration.deploy_config import deploy_new_config
from freqtrade.configuration.directory_operations import create_userdata_dir
from support.deployment import Image
from support.freqtrade import ROOT

from perp_imbalance.replay import replay_config, running_replay

pytestmark = pytest.mark.freqtrade

PAGE = ROOT / "docs" / "installation.md"

#: Where the wheel has what lies beside the package in a checkout.
MOVED = {
    **{f"{name}/": f"perp_imbalance/shipped/{name}/" for name in ("config", "pine", "strategies")},
    "config.json": "perp_imbalance/shipped/config.json",
    "indicators/": "perp_imbalance/indicators/",
}
#: Ignored by git.
PRIVATE = ("config/live.json", "strategies/PerpImbalance.json")
#: What new-config asks, answered.
ANSWERS = {
    **{"dry_run": True, "max_open_trades": 3, "stake_currency": "USDT", "stake_amount": 100},
    **{"fiat_display_currency": "", "timeframe": "", "exchange_name": "binance"},
    **{"trading_mode": "futures", "margin_mode": "isolated", "telegram": False},
    **{"api_server": False, "api_server_jwt_key": token_hex(), "api_server_ws_token": token_hex()},
    **{"api_server_username": "", "api_server_password": ""},
}
CONFIGS = ("-c", "user_data/config.json", "-c", "user_data/perp-imbalance.json")
VERSIONS = """
import importlib.metadata as metadata, json
print(json.dumps(sorted({f"{d.name} {d.version}" for d in metadata.distributions()})))
"""


class Environment(Image):
    """A virtual environment with all that is installed here, but without this project."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.workdir.mkdir()
        del self.environment["PIP_IGNORE_INSTALLED"]
        others = folder / "others"
        others.mkdir()
        for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
            if "perp_imbalance" not in entry.name:
                (others / entry.name).symlink_to(entry)
        (self.site_packages / "image.pth").write_text(str(others), "utf-8")

    @property
    def site_packages(self) -> Path:
        """The folder that pip installs to."""
        return next(self.venv.glob("lib/python*/site-packages"))

    def python(self, *arguments: str) -> str:
        """Return what Python prints, which must end well."""
        done = self.run(["python", *arguments])
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def tracked() -> list[str]:
    """Return the files of the checkout that git does not ignore."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing is tracked")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in names.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist of the checkout, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("built")
    for name in tracked():
        target = folder / "checkout" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target, follow_symlinks=False)
    # The keys of the one who builds, and parameters that hyperopt wrote.
    for private in PRIVATE:
        (folder / "checkout" / private).write_text("{}", "utf-8")
    build(folder / "checkout", "sdist", folder)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    build(next((folder / "unpacked").iterdir()), "wheel", folder)
    return folder


def build(source: Path, kind: str, into: Path) -> None:
    """Build as ``python -m build --no-isolation`` does."""
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(into)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def environment(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel in the environment, by the page's commands; nothing is downloaded."""
    environment = Environment(tmp_path_factory.mktemp("own"))
    before = json.loads(environment.python("-c", VERSIONS))
    shutil.copy(next(built.glob("*.whl")), environment.workdir)
    (step,) = re.findall(r"^RUN (.*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    done = environment.run(["sh", "-c", step])
    assert done.returncode == 0, done.stdout + done.stderr
    after = json.loads(environment.python("-c", VERSIONS))
    new = set(after) - set(before)
    assert [name.partition(" ")[0] for name in new] == ["perp-imbalance"]
    assert set(before) <= set(after)
    return environment


def test_wheel_has_what_is_tracked_and_nothing_else(built: Path) -> None:
    """A file of a new kind needs a pattern in pyproject.toml's package-data."""
    expected = set()
    for name in tracked():
        (new,) = [
            name.replace(old, new, 1) for old, new in MOVED.items() if name.startswith(old)
        ] or [name]
        if new.startswith("perp_imbalance/") and not (ROOT / name).is_symlink():
            expected.add(new)
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == expected
    assert "perp_imbalance/py.typed" in names


def test_sdist_has_what_is_tracked(built: Path) -> None:
    """Beside that, only copies of what the links of the package lead to."""
    (root,) = (built / "unpacked").iterdir()
    names = {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()}
    assert {name for name in tracked() if not (ROOT / name).is_symlink()} <= names
    assert not names & {*PRIVATE, *(f"perp_imbalance/shipped/{name}" for name in PRIVATE)}


def test_only_the_package_comes_into_site_packages(environment: Environment) -> None:
    """freqtrade puts the strategy's folder first on sys.path: no name may be one of a trader's."""
    found = {each.name.partition("-")[0] for each in environment.site_packages.iterdir()}
    assert found == {"perp_imbalance", "image.pth"}
    where = environment.python("-c", "import perp_imbalance as p; print(p.__file__)")
    assert Path(where.strip()).is_relative_to(environment.site_packages)


@pytest.fixture(scope="module")
def installed(environment: Environment) -> Environment:
    """The folder of a freqtrade user, after init."""
    # What create-userdir and new-config call once they have their answers.
    user_data = create_userdata_dir(str(environment.workdir / "user_data"), create_dir=True)
    deploy_new_config(user_data / "config.json", dict(ANSWERS))
    done = environment.run(["perp-imbalance", "init"])
    assert done.returncode == 0, done.stderr
    assert "Written:\n  user_data/strategies/PerpImbalance.py\n" in done.stdout
    assert " ".join(CONFIGS) in done.stdout
    return environment


def test_freqtrade_lists_the_installed_strategies(installed: Environment) -> None:
    listed = installed.python("-m", "freqtrade", "list-strategies", "-1", *CONFIGS).split()
    strategies = {file.stem for file in (ROOT / "strategies").glob("*.py")}
    assert strategies <= set(listed)


def test_installed_command_backtests_a_strategy_of_the_user(
    installed: Environment, sample_datadir: Path
) -> None:
    """It imports the copy that init made: nothing else brings that onto the path."""
    own = "from PerpImbalance import PerpImbalance\n\n\nclass Mine(PerpImbalance):\n    pass\n"
    (installed.workdir / "user_data" / "strategies" / "Mine.py").write_text(own, "utf-8")
    options = ["--strategy", "Mine", "--datadir", str(sample_datadir), "--no-report"]
    options += ["--timerange", "20250201-20250215", "--pairs", "BTC/USDT:USDT", *CONFIGS]
    done = installed.run(["perp-imbalance", "backtest", *options])
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((installed.workdir / "user_data" / "backtest_results").glob("*.zip"))


def test_doctor_reports_each_missing_setting_of_the_fragment(
    installed: Environment, sample_datadir: Path
) -> None:
    with running_replay(sample_datadir) as replay:
        local = {**replay_config(replay.url), "pairlists": [{"method": "StaticPairList"}]}
        local["exchange"]["pair_whitelist"] = ["BTC/USDT:USDT"]
        (installed.workdir / "replay.json").write_text(json.dumps(local), "utf-8")
        command = ["perp-imbalance", "doctor", "-s", "PerpImbalance", "--json", *CONFIGS]
        done = installed.run([*command, "-c", "replay.json"])
    checks = json.loads(done.stdout)["checks"]
    names = {"spot setting", "protections", "late candles", "price side"}
    levels = {check["name"]: check["level"] for check in checks if check["name"] in names}
    assert levels == dict.fromkeys(names, "ok")

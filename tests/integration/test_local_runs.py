"""Commands on stored candles ask no exchange, whatever the config says of one."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from support.freqtrade import CONFIG, ROOT, backtest_trades
from support.loopback_guard import loopback_only

from perp_imbalance.cli.main import run
from perp_imbalance.freqtrade_bridge.config import merged_config
from perp_imbalance.reporting.analysis import open_strategy_analysis

PROXIES = {
    **{"httpProxy": "http://proxy.invalid:1", "wsProxy": "http://proxy.invalid:2"},
    **{"aiohttp_proxy": "http://proxy.invalid:3", "proxies": {"https": "http://proxy.invalid:4"}},
    **{"proxyUrl": "http://proxy.invalid:5/", "requests_trust_env": True},
    **{"aiohttp_trust_env": True, "hostname": "proxy.invalid"},
}
SOCKS = {"socksProxy": "socks5://proxy.invalid:6"}
FRAGMENTS = sorted(path.name for path in (ROOT / "config").glob("exchange-*.json"))
EXCHANGES: dict[str, dict[str, Any]] = {
    **{
        name: json.loads((ROOT / "config" / name).read_text("utf-8"))["exchange"]
        for name in FRAGMENTS
    },
    "binanceusdm": {"name": "binanceusdm"},
    "limited": {"ccxt_config": {"options": {"fetchMarkets": {"types": ["linear"]}}}},
    "sandbox": {"ccxt_config": {"sandbox": True, "urls": {"api": {"public": "https://x.invalid"}}}},
    "socks": {"ccxt_config": SOCKS, "ccxt_async_config": SOCKS},
}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[None]:
    with loopback_only(tmp_path):
        yield


def hostile(folder: Path, exchange: dict[str, Any], **settings: Any) -> list[Path]:
    """Write a config with an exchange, and proxies in every section that takes some."""
    folder.joinpath("user_data").mkdir(exist_ok=True)
    section = {**exchange, "ccxt_sync_config": PROXIES}
    section["ccxt_config"] = {**PROXIES, **exchange.get("ccxt_config", {})}
    section.setdefault("ccxt_async_config", PROXIES)
    section["pair_whitelist"] = ["BTC/USDT:USDT"]
    file = folder / "exchange.json"
    content = {"user_data_dir": str(folder / "user_data"), "exchange": section, **settings}
    file.write_text(json.dumps(content), encoding="utf-8")
    return [CONFIG, file]


@pytest.mark.usefixtures("guarded")
def test_guard_sees_attempts_of_this_process_and_of_children(tmp_path: Path) -> None:
    with socket.socket() as client, pytest.raises(OSError, match="another machine"):
        client.connect(("203.0.113.1", 9))
    code = "import socket; socket.getaddrinfo('proxy.invalid', 80)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "another machine" in child.stderr
    log = tmp_path / "attempts"
    assert log.read_text("utf-8").splitlines() == [
        "socket.connect 203.0.113.1",
        "socket.getaddrinfo proxy.invalid",
    ]
    log.write_text("")


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=list(EXCHANGES))
def test_columns_are_computed_without_the_exchange(
    exchange: dict[str, Any], tiny_datadir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    config = merged_config(hostile(tmp_path, exchange))
    with open_strategy_analysis(config, strategy="PerpImbalance", datadir=tiny_datadir) as found:
        assert found.chart("BTC/USDT:USDT").frame["premium"].notna().any()


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize(
    "command",
    [
        ["evidence", "--horizons", "4", "--block", "24"],
        ["sweep", "--enter-z", "1.5,2", "--horizons", "4"],
    ],
    ids=lambda command: command[0],
)
def test_research_asks_no_exchange(
    command: list[str], tiny_datadir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    files = hostile(tmp_path, EXCHANGES["exchange-bybit.json"])
    options = [word for file in files for word in ("-c", str(file))]
    with pytest.raises(SystemExit) as left:
        run([*command, *options, "--datadir", str(tiny_datadir), "--pairs", "BTC/USDT:USDT"])
    assert left.value.code == 0


@pytest.fixture
def renamed_datadir(tiny_datadir: Path, tmp_path: Path) -> Path:
    """Return candles as Hyperliquid names them, whose mark prices are those of the perp."""
    datadir = tmp_path / "hyperliquid"
    shutil.copytree(tiny_datadir, datadir)
    for file in datadir.rglob("*.feather"):
        name = file.name.replace("1000PEPE_USDT_USDT", "KPEPE_USDC_USDC")
        if "BTC" in name or "mark" in name:
            file.unlink()
        else:
            file.rename(file.with_name(name.replace("PEPE_USDT", "PEPE_USDC")))
    return datadir


@pytest.mark.usefixtures("guarded")
@pytest.mark.freqtrade
def test_candles_of_another_exchange_use_its_rules(
    renamed_datadir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.chdir(ROOT)
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://proxy.invalid:7")
    files = hostile(tmp_path, EXCHANGES["exchange-hyperliquid.json"], stake_currency="USDC")
    options = [word for file in files for word in ("-c", str(file))]
    with pytest.raises(SystemExit) as left:
        run(
            [
                *("backtest", *options, "--datadir", str(renamed_datadir)),
                *("--strategy-list", "PerpImbalanceAggressive"),
            ]
        )
    said = capfd.readouterr()
    assert left.value.code == 0, said.err[-3000:]
    # The report computes the columns anew, with the same names.
    assert "Report: " in said.out
    assert "Without z" not in said.out
    trades = backtest_trades(tmp_path / "user_data")["PerpImbalanceAggressive"]
    assert {*trades["pair"]} == {"KPEPE/USDC:USDC"}
    assert {*trades["fee_open"]} == {0.00045}
    assert "Traceback" not in said.err


@pytest.mark.freqtrade
def test_nothing_that_a_backtest_leaves_holds_a_secret(
    tiny_datadir: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    # One word that marks every secret, wherever it would turn up.
    mark = "zQ7marked"
    proxies = {"httpsProxy": f"http://user:{mark}@proxy.invalid:1"}
    exchange = {
        **{"name": "binance", "key": f"{mark}-key", "secret": f"{mark}-secret"},
        "ccxt_config": {"headers": {"X-Auth": mark}, "options": {"defaultType": "future"}},
        "ccxt_async_config": proxies,
    }
    server = {
        **{"enabled": False, "listen_ip_address": "127.0.0.1", "listen_port": 8080},
        **{"username": "trader", "password": f"{mark}-password"},
        **{"jwt_secret_key": f"{mark}-0123456789-0123456789-0123456789"},
        **{"ws_token": [f"{mark}-token"], "CORS_origins": []},
    }
    telegram = {"enabled": False, "token": f"{mark}:telegram", "chat_id": f"9{mark}"}
    # A section that only a strategy knows reaches the result, where it is struck out.
    mine = {"channel": "#trades", "access_token": f"{mark}-of-mine"}
    files = hostile(tmp_path, exchange, api_server=server, telegram=telegram, mine=mine)
    with pytest.raises(SystemExit) as left:
        run(
            [
                *("backtest", "-c", str(files[0]), "-c", str(files[1])),
                *("--datadir", str(tiny_datadir), "--strategy-list", "PerpImbalance"),
            ]
        )
    assert left.value.code == 0
    said = capfd.readouterr()
    assert mark not in said.out + said.err + caplog.text
    assert "Struck out of the result, for secrets: mine.access_token" in said.out
    (result,) = (tmp_path / "user_data" / "backtest_results").glob("*.zip")
    with ZipFile(result) as archive:
        written = {name: archive.read(name) for name in archive.namelist()}
    assert f"{result.stem}_config.json" in written
    written |= {
        str(file): file.read_bytes()
        for file in (tmp_path / "user_data").rglob("*")
        if file.is_file()
    }
    assert [name for name, content in written.items() if mark.encode() in content] == []

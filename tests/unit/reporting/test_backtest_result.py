"""A result may be somebody else's: it is reported, or refused in one line, and sets nothing."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from perp_imbalance.errors import DataError
from perp_imbalance.indicators import Thresholds
from perp_imbalance.reporting.backtest_result import Result, read_result
from perp_imbalance.reporting.build import tables_of
from perp_imbalance.reporting.strategy_runs import StrategyRun
from perp_imbalance.reporting.tables import with_signal_columns

ORDER = {"amount": 0.1, "safe_price": 4000.0, "ft_is_entry": True}
TRADE = {
    **{"pair": "ETH/USDT:USDT", "is_short": True, "amount": 0.1, "stake_amount": 400.0},
    **{"open_date": "2025-01-26 08:00:00+00:00", "close_date": "2025-01-26 12:00:00+00:00"},
    **{"open_rate": 4000.0, "close_rate": 3990.0, "fee_open": 0.0005, "fee_close": 0.0005},
    **{"profit_ratio": 0.0015, "profit_abs": 0.6, "funding_fees": 0.0},
    **{"exit_reason": "cooled", "enter_tag": "short_zone_z"},
    "orders": [ORDER, {**ORDER, "ft_is_entry": False}],
}
STATS = {
    **{"trades": [TRADE, {**TRADE, "is_short": False}], "pairlist": ["ETH/USDT:USDT"]},
    **{"timeframe": "1h", "timerange": "20250120-20251231", "market_change": -0.003},
    **{"backtest_start_ts": 1737342000000, "backtest_end_ts": 1767222000000},
    **{"starting_balance": 1000, "winrate": 1.0, "profit_total": 0.0012, "profit_total_abs": 1.2},
    **{"profit_factor": 2.3, "max_drawdown_account": 0.02, "sharpe": 0.7},
    "wallet_stats": {"sharpe": 0.6},
}
CONFIG = {
    **{"timeframe": "1h", "stake_currency": "USDT", "dataformat_ohlcv": "feather"},
    "exchange": {"name": "binance", "pair_whitelist": ["ETH/USDT:USDT"]},
    "datadir": "somewhere",
}
PARAMETERS = {"strategy_name": "Mine", "params": {"buy": {"enter_z": 2.0}}}
RESULT = {"stats": {"strategy": {"Mine": STATS}}, "config": CONFIG, "parameters": PARAMETERS}


def write(folder: Path, content: dict[str, Any] | None = None, **texts: str) -> Path:
    """Write a result file; ``texts`` take the place of what is written as JSON."""
    content = RESULT if content is None else content
    file = folder / "backtest-result-1.zip"
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for part, name in (("stats", ""), ("config", "_config"), ("parameters", "_Mine")):
            text = texts.get(part, json.dumps(content[part]))
            archive.writestr(f"{file.stem}{name}.json", text)
    return file


def report(result: Result) -> None:
    """Compute what a report shows of a result without candles."""
    hour = pd.Timedelta("1h")
    runs = [
        StrategyRun(outcome, Thresholds(), with_signal_columns(outcome.trades, {}, hour, 0.9), {})
        for outcome in result.outcomes
        if len(outcome.trades)
    ]
    # Without a trade there is no report.
    if runs:
        tables_of(runs)
    assert result.span[0] < result.span[1]
    assert f"{float(result.outcomes[0].stats['market_change']):+.1%}"


def test_result_is_read(tmp_path: Path) -> None:
    result = read_result(write(tmp_path))
    report(result)
    assert result.config["timeframe"] == "1h"
    assert (result.config["exchange"]["name"], result.config["datadir"]) == ("binance", "somewhere")
    assert json.loads(str(result.outcomes[0].parameters)) == PARAMETERS


FOREIGN: dict[str, Any] = {
    **{
        "db_url": "sqlite:////tmp/x",
        "logfile": "/tmp/x",
        "log_config": {},
        "user_data_dir": "/tmp",
    },
    **{"strategy_path": "/tmp", "add_config_files": ["x"], "recursive_strategy_search": True},
    **{"api_server": {"enabled": True}, "telegram": {"enabled": True}, "webhook": {"url": "x"}},
    **{"external_message_consumer": {"enabled": True}},
    **{"freqai": {"enabled": True}, "export": "trades", "anything_new": 1, "freqaimodel_path": "x"},
}
NETWORK: dict[str, Any] = {
    **{"ccxt_config": {"httpsProxy": "http://h"}, "ccxt_async_config": {"aiohttp_proxy": "h"}},
    **{"ccxt_sync_config": {"proxies": {}}, "_ft_has_params": {}, "anything_new": 1},
}


def test_nothing_but_the_settings_of_the_run_is_taken(tmp_path: Path) -> None:
    exchange = {**NETWORK, "name": "binance", "pair_whitelist": ["ETH/USDT:USDT"]}
    remote = [{"method": "RemotePairList", "pairlist_url": "http://h"}]
    config = {**CONFIG, **FOREIGN, "exchange": exchange, "pairlists": remote}
    file = write(tmp_path, {**RESULT, "config": config})
    taken = read_result(file).config
    assert taken["pairlists"] == [{"method": "StaticPairList"}]
    assert FOREIGN.keys() & taken.keys() == set()
    assert taken["exchange"].keys() == {"name", "pair_whitelist", "pair_blacklist"}


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where values stand in a nested one."""
    found = [place] if place else []
    if isinstance(value, dict | list):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(each, (*place, name))
    return found


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 10**400, 2**63, 1e308, float("nan"), float("inf"), "", "x", "NaN"]),
    st.sampled_from([[], {}, [[]], {"a": {}}, "../../etc/passwd", "2025-13-45", "9" * 400]),
    st.text(max_size=9),
    st.integers(),
    st.floats(),
)
CHANGES = st.lists(
    st.tuples(st.sampled_from(places(RESULT)), st.sampled_from(["drop", "set"]), JUNK),
    min_size=1,
    max_size=3,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(CHANGES)
@example([(("stats", "strategy", "Mine", "trades", 0), "drop", None)] * 2)
def test_changed_result_is_reported_or_refused(
    tmp_path: Path, changes: list[tuple[tuple[Any, ...], str, Any]]
) -> None:
    content: Any = copy.deepcopy(RESULT)
    for place, action, value in changes:
        holder = content
        try:
            for name in place[:-1]:
                holder = holder[name]
            if action == "drop":
                del holder[place[-1]]
            else:
                holder[place[-1]] = value
        except (LookupError, TypeError):
            # An earlier change took it away.
            continue
    for part in RESULT:
        content.setdefault(part, None)
    try:
        result = read_result(write(tmp_path, content))
    except DataError as error:
        refused = str(error)
    else:
        refused = ""
        report(result)
    assert len(refused.splitlines()) <= 1


def bomb(file: Path) -> None:
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        archive.writestr(f"{file.stem}.json", bytes(20 * 2**20))
        archive.writestr(f"{file.stem}_config.json", "{}")


def not_a_zip(file: Path) -> None:
    file.write_text("text")


def cut_off(file: Path) -> None:
    file.write_bytes(write(file.parent).read_bytes()[:-40])


def damaged(file: Path) -> None:
    content = bytearray(write(file.parent).read_bytes())
    content[60:90] = bytes(30)
    file.write_bytes(content)


@pytest.mark.parametrize("make", [bomb, not_a_zip, cut_off, damaged])
def test_file_that_is_not_a_result_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    file = tmp_path / "backtest-result-1.zip"
    make(file)
    with pytest.raises(DataError):
        read_result(file)


@pytest.mark.parametrize("part", ["stats", "config", "parameters"])
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", "", "\ufeff{}", "NaN"])
def test_invalid_or_deeply_nested_json_is_refused(tmp_path: Path, part: str, text: str) -> None:
    with pytest.raises(DataError):
        read_result(write(tmp_path, None, **{part: text}))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("date", ["soon", "2025-13-45", "26.01.2025"])
def test_bad_date_is_refused_without_a_warning(tmp_path: Path, date: str) -> None:
    content = copy.deepcopy(RESULT)
    for trade in content["stats"]["strategy"]["Mine"]["trades"]:  # type: ignore[index]
        trade["open_date"] = date
    with pytest.raises(DataError):
        read_result(write(tmp_path, content))


def test_unknown_class_is_refused_without_a_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = copy.deepcopy(RESULT)
    stats = content["stats"]["strategy"]  # type: ignore[index]
    stats["../../evil"] = stats.pop("Mine")
    with pytest.raises(DataError, match="names a strategy"):
        read_result(write(tmp_path, content))
    assert not caplog.records


def test_trades_without_orders_are_refused(tmp_path: Path) -> None:
    content = copy.deepcopy(RESULT)
    for trade in content["stats"]["strategy"]["Mine"]["trades"]:  # type: ignore[index]
        del trade["orders"]
    with pytest.raises(DataError, match=r"trades\.0\.orders: Field required"):
        read_result(write(tmp_path, content))

"""The doctor: PASS where a bot would trade correctly, else what to fix, one line each."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType
from support.dialects import loopback_config
from support.doctor import (
    BTC,
    ETH,
    STALE_HOURS,
    Configure,
    Examine,
    command_line,
    only_fix,
    perp,
    to_fix,
)
from support.freqtrade import CONFIG, ROOT, assert_fails_in_one_line, perp_imbalance

from perp_imbalance.doctor import Check, Level, Report, examine
from perp_imbalance.errors import PerpImbalanceError
from perp_imbalance.replay import running_replay
from perp_imbalance.replay.server import system_clock

pytestmark = [
    pytest.mark.freqtrade,
    # freqtrade's own call of pandas, on every answer of the exchange.
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.drop is deprecated"),
]


def test_healthy_bot_passes(configure: Configure) -> None:
    process = perp_imbalance("doctor", *command_line(configure()))
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stderr == ""
    assert process.stdout.strip().splitlines()[-1] == "PASS"
    assert "freqtrade 20" in process.stdout
    assert "PEPE/USDT" in process.stdout
    assert "To fix" not in process.stdout


def test_requests_of_all_pairs_are_held_against_a_candle(doctor: Examine) -> None:
    (check,) = [check for check in doctor([BTC, ETH]).checks if check.name == "requests"]
    assert check.level is Level.OK
    said = "2 pairs take 4 requests a candle, futures weight 4 of 2400 a minute, spot weight 4 of"
    assert said in check.message
    # A weight of 4 lasts 0.1 s.
    check = only_fix(doctor([BTC, ETH], perp_imbalance={"max_entry_age_seconds": 0.06}))
    said = "max_entry_age_seconds allows 0.06 s, so entries come too late; keep at most 1 pairs"
    assert said in check.message


def test_alerts_without_a_channel_are_a_warning(doctor: Examine) -> None:
    report = doctor([BTC], perp_imbalance={"alert_only": True})
    (check,) = [check for check in report.checks if check.name == "alerts"]
    assert check.level is Level.WARNING
    assert "written to the log only" in check.message


def test_swap_must_be_fixed_and_names_the_setting(configure: Configure) -> None:
    swap = {"ccxt_config": {"options": {"defaultType": "swap"}}}
    process = perp_imbalance("doctor", *command_line(configure(exchange=swap)))
    assert process.returncode == 1
    lines = process.stdout.strip().splitlines()
    assert lines[-1] == "1 to fix"
    fix = lines[lines.index("To fix:") + 1]
    assert '"ccxt_config": {"options": {"defaultType": "future"}}' in fix
    assert process.stderr == ""


def test_json_is_one_object(configure: Configure) -> None:
    files = configure([perp("LONELY"), "1000PEPE/USDT:USDT"])
    process = perp_imbalance(
        "doctor", *command_line(files), "--json", "--strategy", "PerpImbalanceConservative"
    )
    assert process.returncode == 1, process.stderr
    report = json.loads(process.stdout, parse_constant=pytest.fail)
    assert set(report) == {"versions", "checks", "pairs", "verdict"}
    assert set(report["versions"]) == {"perp-imbalance", "freqtrade", "ccxt", "TA-Lib"}
    assert all(report["versions"].values())
    for check in report["checks"]:
        assert set(check) == {"name", "level", "message", "pair"}
        assert check["level"] in ("ok", "warning", "must be fixed")
    names = {check["name"] for check in report["checks"] if check["pair"] == "1000PEPE/USDT:USDT"}
    assert {"spot pair", "price ratio", "own spot", "tick noise", "higher timeframe"} <= names
    pepe, lonely = report["pairs"]
    assert (pepe["perp"], pepe["spot"], pepe["scale"], pepe["rule"]) == (
        *("1000PEPE/USDT:USDT", "PEPE/USDT", 1000, "scale"),
    )
    assert pepe["price_ratio"] == pytest.approx(1, abs=0.01)
    assert (lonely["spot"], lonely["scale"], lonely["price_ratio"]) == (None, None, None)
    assert report["verdict"] == "FIX"


@pytest.mark.parametrize(
    ("base", "name", "message"),
    [
        ("WRONG", "price ratio", "its price is 0.33"),
        ("LONELY", "spot pair", "no spot pair of LONELY against USDT: assign one in"),
        ("STALE", "spot candles", "1h candles late: is it halted or delisted?"),
        ("COARSE", "tick noise", "the premium is nearly all rounding"),
        ("SELF", "own spot", "answers for SELF/USDT with the candles of the perp"),
    ],
)
def test_bad_spot_must_be_fixed(doctor: Examine, base: str, name: str, message: str) -> None:
    fix = only_fix(doctor([BTC, perp(base)]))
    assert (fix.pair, fix.name) == (perp(base), name)
    assert message in fix.message


def test_stale_spot_uses_the_exchange_clock(doctor: Examine) -> None:
    pairs = {pair.perp: pair for pair in doctor([BTC, perp("STALE")]).pairs}
    # The newest candle began before STALE_HOURS ago; the hour may have changed since.
    assert pairs[perp("STALE")].spot_behind in (STALE_HOURS - 1, STALE_HOURS)
    assert pairs[perp("STALE")].perp_behind == 0
    assert pairs[BTC].spot_behind == 0


def test_clock_with_a_large_error_must_be_fixed(doctor: Examine, doctor_market: Path) -> None:
    with running_replay(doctor_market, clock=lambda: system_clock() - 3 * 60_000) as behind:
        fix = only_fix(doctor([BTC], url=behind.url))
    assert fix.name == "clock"
    assert "180.0 s ahead of" in fix.message


def test_whitelist_names_what_freqtrade_would_leave_out(doctor: Examine) -> None:
    report = doctor(["btc/usdt:usdt", "BTC/USDT", "NOPE/USDT:USDT", "1000P.*"])
    messages = {check.pair: check.message for check in to_fix(report)}
    assert set(messages) == {"BTC/USDT", "NOPE/USDT:USDT"}
    assert "did you mean BTC/USDT:USDT" in messages["BTC/USDT"]
    assert "binance has no active perp of this name" in messages["NOPE/USDT:USDT"]
    assert [pair.perp for pair in report.pairs] == ["1000PEPE/USDT:USDT", BTC]


def test_empty_whitelist_must_be_fixed(doctor: Examine) -> None:
    report = doctor([])
    assert "name perps in pair_whitelist" in to_fix(report)[-1].message
    assert not report.pairs


def test_unknown_key_must_be_fixed(doctor: Examine) -> None:
    fix = only_fix(doctor(perp_imbalance={"entry_mod": "flip"}))
    assert fix.name == "settings"
    assert "unknown key perp_imbalance.entry_mod: known here are htf_timeframe" in fix.message


def test_config_that_freqtrade_refuses_must_be_fixed(doctor: Examine) -> None:
    fix = only_fix(doctor(stake_amount=-3))
    assert fix.name == "config"
    assert fix.message.startswith("stake_amount: -3 is less than the minimum")


def test_password_that_can_be_guessed_must_be_fixed(doctor: Examine) -> None:
    server = {"enabled": True, "listen_ip_address": "127.0.0.1", "listen_port": 8080}
    server |= {"username": "trader", "jwt_secret_key": "9f8d2c1b7a6e5d4c3b2a19f8e7d6c5b4a3f2e1d0"}
    fix = only_fix(doctor([BTC], api_server={**server, "password": "qwertyuiop1234"}))
    assert fix.name == "secrets"
    assert fix.message.startswith("the password of api_server is short or easy to guess")
    assert "qwerty" not in fix.message


def test_pairs_without_spot_are_one_finding(doctor: Examine, doctor_market: Path) -> None:
    lonely = [perp("LONELY"), perp("LOST")]
    with running_replay(doctor_market, extra_pairs=[perp("LOST")]) as replay:
        report = doctor([BTC, *lonely], url=replay.url)
    found = [check for check in to_fix(report) if check.name == "spot pair"]
    assert [(check.pair, check.message.partition(":")[0]) for check in found] == [
        (None, "2 of 3 perps have no spot pair and give no signals")
    ]


def test_exchange_that_does_not_answer_must_be_fixed(doctor: Examine) -> None:
    fix = only_fix(doctor(url="http://127.0.0.1:9"))
    assert (fix.name, fix.message) == (
        "exchange",
        "binance gave no list of its markets: check the network, or ask freqtrade list-markets",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "PerpImbalance.json is not valid JSON: Parse error"),
        ({"strategy_name": "Other", "params": {}}, "is for \"strategy_name\" 'Other', not"),
        (
            {"params": {"buy": {"enter_zz": 2.0}}},
            "buy.enter_zz is not a parameter of PerpImb",
        ),
        (
            {"params": {"buy": {"len_prem": 90}}},
            "buy.len_prem is not a parameter of PerpImb",
        ),
        ({"params": {"buy": {"enter_z": 0.5}}}, "enter_z is 0.5"),
        ({"params": [1]}, 'has no "params" by space'),
    ],
)
def test_bad_parameter_file_must_be_fixed(
    doctor: Examine, tmp_path: Path, content: Any, message: str
) -> None:
    strategies = tmp_path / "strategies"
    shutil.copytree(ROOT / "strategies", strategies, ignore=shutil.ignore_patterns("*.json"))
    if isinstance(content, dict):
        content = json.dumps({"strategy_name": "PerpImbalance", **content})
    (strategies / "PerpImbalance.json").write_text(content, encoding="utf-8")
    assert message in only_fix(doctor([BTC], strategy_path=str(strategies))).message


def test_parameter_file_is_what_is_measured_with(doctor: Examine, tmp_path: Path) -> None:
    strategies = tmp_path / "strategies"
    shutil.copytree(ROOT / "strategies", strategies, ignore=shutil.ignore_patterns("*.json"))
    params = {"buy": {"enter_z": 2.3, "use_htf": True}, "roi": {"0": 9}}
    content = {"strategy_name": "PerpImbalance", "params": params}
    (strategies / "PerpImbalance.json").write_text(json.dumps(content), encoding="utf-8")
    report = doctor([BTC], strategy_path=str(strategies))
    assert not to_fix(report)
    seen = {check.name: check.message for check in report.checks}
    assert "enter_z 2.3" in seen["strategy"]
    assert "4h premiums" in seen["higher timeframe"]


def test_strategy_that_is_not_there_must_be_fixed(doctor: Examine) -> None:
    fix = only_fix(doctor([BTC], strategy="Nope"))
    assert (fix.name, "'Nope'" in fix.message) == ("strategy", True)


def test_doctor_accepts_any_strategy(doctor: Examine) -> None:
    report = doctor([BTC], strategy="RsiWithImbalance")
    assert not to_fix(report)
    assert [pair.perp for pair in report.pairs] == [BTC]


def test_series_of_active_gates_are_checked_per_pair(doctor: Examine) -> None:
    """Without its series a gate passes nothing, and the bot would wait for ever."""
    report = doctor([BTC, ETH], perp_imbalance={"use_oi": True, "use_funding": True})
    seen = {(check.name, check.pair): check for check in report.checks}
    assert "gates: sigma and funding and oi" in seen["strategy", None].message
    for pair in (BTC, ETH):
        assert seen["funding rate", pair].level is Level.OK
    assert seen["open interest", ETH].level is Level.OK
    fix = only_fix(report)
    assert (fix.name, fix.pair) == ("open interest", BTC)
    assert fix.message.startswith("the open interest gate has no open interest of it")
    assert {check.name for check in doctor([BTC]).checks}.isdisjoint(
        {"open interest", "funding rate"}
    )


def unreachable(exchange: str, folder: Path, **settings: Any) -> list[Path]:
    """Return the config files of a bot on a shipped exchange at which nothing answers."""
    (folder / "user_data").mkdir()
    overlay = loopback_config(exchange, "http://127.0.0.1:9")
    # As shipped: requests wait in a task of ccxt's.
    overlay["exchange"]["ccxt_config"]["enableRateLimit"] = True
    overlay["user_data_dir"] = str(folder / "user_data")
    (folder / "overlay.json").write_text(json.dumps({**overlay, **settings}), encoding="utf-8")
    return [CONFIG, ROOT / "config" / f"exchange-{exchange}.json", folder / "overlay.json"]


def test_gate_without_its_series_must_be_fixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    fixes = to_fix(examine(unreachable("bitget", tmp_path, perp_imbalance={"use_oi": True})))
    (fix,) = (check for check in fixes if check.name == "strategy")
    assert "bitget gives no past open interest: set perp_imbalance.use_oi to false" in fix.message


@pytest.mark.parametrize("command", ["doctor", "pairs"])
def test_exchange_that_does_not_answer_is_closed(command: str, tmp_path: Path) -> None:
    """Tasks of ccxt that wait for an answer would be told of by asyncio, behind the message."""
    process = perp_imbalance(command, *command_line(unreachable("bybit", tmp_path)))
    said = process.stdout + process.stderr
    assert "bybit gave no list of its markets: check the network" in said
    assert "Task" not in said
    assert len(process.stderr.splitlines()) == (1 if command == "pairs" else 0)


@pytest.mark.parametrize(
    ("protection", "message"),
    [
        (
            {"method": "CoolDown"},
            "freqtrade has no protection 'CoolDown': known are CooldownPeriod, LowProfitPairs, ",
        ),
        ({"stop_duration": 5}, "freqtrade has no protection None: known are "),
        (
            {"method": "CooldownPeriod", "stop_duration": 5, "stop_duration_candles": 5},
            "freqtrade refuses CooldownPeriod: Protections must specify either `stop_duration` or",
        ),
        (
            {"method": "CooldownPeriod", "stop_duration": "long"},
            "freqtrade refuses CooldownPeriod: invalid literal for int() with base 10: 'long'",
        ),
    ],
)
def test_protection_that_freqtrade_refuses_must_be_fixed(
    doctor: Examine, protection: dict[str, Any], message: str
) -> None:
    good = {"method": "CooldownPeriod", "stop_duration_candles": 2}
    report = doctor([BTC], perp_imbalance={"protections": [good, protection]})
    fix = only_fix(report)
    assert fix.name == "protections"
    assert fix.message.startswith(f"perp_imbalance.protections[1]: {message}")
    assert not [check for check in report.of(Level.OK) if check.name == "protections"]


def test_protections_are_those_of_the_strategy(doctor: Examine) -> None:
    """A strategy of its own reads none from our section."""
    protections = [{"method": "CooldownPeriod", "stop_duration_candles": 2}]
    for strategy, count in (("PerpImbalance", 1), ("RsiWithImbalance", 0)):
        report = doctor([BTC], strategy, perp_imbalance={"protections": protections})
        (check,) = (check for check in report.checks if check.name == "protections")
        assert check.message == f"{count}, in backtests too"


def test_misspelt_section_and_unused_htf_are_warned_about(doctor: Examine) -> None:
    report = doctor([BTC], perp_imblance={"leverage": 5}, perp_imbalance={"htf_timeframe": "30m"})
    assert not to_fix(report)
    found = {check.name: check.message for check in report.of(Level.WARNING)}
    assert 'the config has "perp_imblance", which nothing reads' in found["config"]
    assert "htf_timeframe is 30m, it must be a multiple" in found["higher timeframe"]


def test_premium_source_without_index_candles_must_be_fixed(doctor: Examine) -> None:
    fix = only_fix(doctor([BTC], perp_imbalance={"premium_source": "index"}))
    assert fix.name == "index candles"
    assert 'set perp_imbalance.premium_source to "spot"' in fix.message


def local_data(report: Report) -> list[Check]:
    return [check for check in report.checks if check.name == "local data"]


def test_local_data(doctor: Examine, doctor_market: Path, tmp_path: Path) -> None:
    """Missing candles are a warning, whole ones are ok, spot that is the perp must be fixed."""
    pepe = "1000PEPE/USDT:USDT"
    report = doctor([pepe])
    assert not to_fix(report)
    (missing,) = local_data(report)
    assert missing.level is Level.WARNING
    assert "and 3 more series, which only a backtest needs" in missing.message

    datadir = tmp_path / "user_data" / "data" / "binance"
    shutil.copytree(doctor_market, datadir, dirs_exist_ok=True)
    report = doctor([pepe], strategy="PerpImbalanceConservative")
    assert not to_fix(report)
    assert {check.level for check in local_data(report)} == {Level.OK}
    report = doctor([pepe], perp_imbalance={"use_oi": True})
    assert f"lacks open_interest candles of {pepe} 1h," in local_data(report)[0].message

    handler = get_datahandler(datadir, "feather")
    candles = handler.ohlcv_load(pepe, "1h", CandleType.FUTURES, fill_missing=False)
    prices = ["open", "high", "low", "close"]
    handler.ohlcv_store(
        "PEPE/USDT", "1h", candles.assign(**{p: candles[p] / 1000 for p in prices}), CandleType.SPOT
    )
    fix = only_fix(doctor([pepe]))
    assert (fix.name, fix.pair) == ("local data", pepe)
    assert "delete the file and download spot candles again" in fix.message


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_unreadable_config_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    config = tmp_path / "mine.json"
    if content:
        config.write_text(content, encoding="utf-8")
    with pytest.raises(PerpImbalanceError, match=r"mine\.json") as error:
        examine([config])
    assert "\n" not in str(error.value)


def test_missing_config_fails_in_one_line() -> None:
    process = perp_imbalance("doctor", "-c", "nowhere.json")
    assert_fails_in_one_line(process, "there is no config file nowhere.json: name one with -c")
    assert process.returncode == 2
    assert len(process.stderr.strip().splitlines()) == 1


def test_config_without_exchange_must_be_fixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    config = tmp_path / "mine.json"
    config.write_text('{"stake_currency": "USDT"}', encoding="utf-8")
    assert "lacks 'exchange'" in only_fix(examine([config])).message


def test_help_has_an_example() -> None:
    process = perp_imbalance("doctor", "--help")
    assert process.returncode == 0
    assert "perp-imbalance doctor -c config.json" in process.stdout.partition("example")[2]

"""Classes derived from PerpImbalance: each trades as it would alone, and its overrides count."""

import inspect
import json
import logging
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from freqtrade.exceptions import OperationalException
from freqtrade.strategy import IStrategy
from freqtrade.strategy.parameters import BaseParameter
from support.freqtrade import CONFIG, ROOT, SAMPLE_PAIRS, Freqtrade, backtest_trades
from support.strategies import copy_strategies, define, load

from perp_imbalance.data.sample import write_sample_market
from perp_imbalance.indicators import PRESETS
from perp_imbalance.replay import replay_config, running_replay
from perp_imbalance.strategy.parameters import SPACES

EXAMPLES = ROOT / "tests" / "support" / "example_strategies" / "Mine.py"
NAMES = ["MinePlain", "MineStrict", "MineFixed", "MineGuarded", "MineDoubling"]
SPAN = ("--timerange", "20250910-20251010")
INIT = "def __init__(self, config):\n    super().__init__(config)\n"


@pytest.fixture(scope="module")
def strategies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our strategies and the examples, as in a trader's folder."""
    folder = copy_strategies(tmp_path_factory.mktemp("mine"))
    shutil.copy(EXAMPLES, folder)
    return folder


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Our strategies, for classes that a test writes beside them."""
    return copy_strategies(tmp_path)


@pytest.mark.parametrize(
    "callback",
    [name for name, _ in inspect.getmembers(IStrategy, inspect.isfunction) if name[0] != "_"],
)
def test_overridden_callback_has_freqtrades_signature(strategies: Path, callback: str) -> None:
    """A subclass calls ``super()`` in freqtrade's order, by position or by name."""
    ours = inspect.signature(getattr(type(load(strategies, "PerpImbalance")), callback))
    theirs = inspect.signature(getattr(IStrategy, callback))
    kinds = [(name, one.kind, one.default) for name, one in theirs.parameters.items()]
    assert [(name, one.kind, one.default) for name, one in ours.parameters.items()] == kinds


@pytest.mark.parametrize("order", [["MinePlain", "MineStrict"], ["MineStrict", "MinePlain"]])
def test_classes_do_not_share_parameters(strategies: Path, order: list[str]) -> None:
    found = {name: load(strategies, name).enter_z.value for name in order}
    assert found == {"MinePlain": 1.7, "MineStrict": 3.0}


@pytest.mark.parametrize("name", ["PerpImbalance", *NAMES])
def test_no_two_strategies_of_a_class_share_a_parameter(strategies: Path, name: str) -> None:
    """freqtrade 2026.10 keeps values per strategy; the class's own are never written."""
    first = load(strategies, name)
    declared = type(first)
    second = declared(first.config)
    for _, parameter in inspect.getmembers(first, lambda one: isinstance(one, BaseParameter)):
        assert getattr(second, parameter.name) is not parameter
        assert getattr(declared, parameter.name) is not parameter
    first.enter_z.value = 3.4
    second.ft_bot_start()
    assert second.enter_z.value != 3.4
    for base in declared.__mro__[1:]:
        assert not any(vars(base).get(name) is getattr(declared, name) for name in SPACES)


@pytest.mark.parametrize("decorator", ["", '@with_preset("aggressive")'])
@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("enter_z = 3.0", 3.0),
        ("enter_z = 3", 3),
        ("enter_z = 1.23456789", 1.23456789),
        ("len_prem = 33", 33),
        ("use_sigma = False", False),
        ('entry_mode = "flip"', "flip"),
        ("max_stale_candles = 0", 0),
    ],
)
def test_plain_value_is_a_fixed_parameter(
    written: Path, decorator: str, line: str, value: Any
) -> None:
    define(written, line, decorator=decorator)
    name = line.partition(" ")[0]
    params = {"buy": {"enter_z": 2.2, "use_sigma": True, "entry_mode": "zone"}}
    params |= {"lookback": {"len_prem": 40}, "sell": {"max_stale_candles": 9}}
    content = {"strategy_name": "MyOwn", "params": params}
    (written / "MyOwn.json").write_text(json.dumps(content))
    parameter = getattr(load(written, "MyOwn"), name)
    assert (parameter.value, parameter.optimize) == (value, False)
    others = {key: one for found in params.values() for key, one in found.items() if key != name}
    strategy = load(written, "MyOwn")
    assert {key: getattr(strategy, key).value for key in others} == others


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('enter_z = "x"', "MyOwn: enter_z is 'x', it must be a number"),
        ("enter_z = True", "MyOwn: enter_z is True, it must be a number"),
        ("enter_z = 0.5", "MyOwn: enter_z is 0.5, it must be above exit_z (0.9)"),
        ("len_prem = 20.5", "MyOwn: len_prem is 20.5, it must be a whole number"),
        ("use_htf = 1", "MyOwn: use_htf is 1, it must be true or false"),
        ('entry_mode = "flop"', "MyOwn: entry_mode is 'flop', it should be 'zone' or 'flip'"),
        ('buy_params = {"enter_z": "x"}', "MyOwn: enter_z is 'x', it must be a number"),
        (
            "len_prem = DecimalParameter(10, 30, default=20.5)",
            "MyOwn: len_prem is 20.5, it must be a whole number",
        ),
        (
            f"{INIT}    self.enter_z = 'x'",
            "MyOwn: enter_z is 'x', it must be a number",
        ),
        ("enter_z = None", "MyOwn: enter_z is None, it must be a number"),
        (f"{INIT}    self.enter_z = None", "MyOwn: enter_z is None, it must be a number"),
        (
            "@property\ndef enter_z(self):\n    return 3.0",
            "MyOwn: enter_z is a property, it must be a number",
        ),
        (
            "def entry_mode(self):\n    return 'zone'",
            "MyOwn: entry_mode is a function, it should be 'zone' or 'flip'",
        ),
        (
            'min_deviation_bps = float("inf")',
            "MyOwn: min_deviation_bps is too high, it must be at most 10000",
        ),
        ("len_prem = 10**400", "MyOwn: len_prem is too high, it must be at most 1e+09"),
        (
            "enter_z = 7.5",
            "MyOwn: enter_z is 7.5, which no z-score reaches: with len_prem 50 it is at most 7",
        ),
        ("buy_params = 3.0", "MyOwn: buy is 3.0, it must be values by name"),
    ],
)
@pytest.mark.parametrize("decorator", ["", '@with_preset("balanced")'])
def test_wrong_value_in_a_subclass_is_refused(
    written: Path, decorator: str, line: str, message: str
) -> None:
    define(written, line, decorator=decorator)
    with pytest.raises(OperationalException) as caught:
        load(written, "MyOwn")
    assert str(caught.value) == message
    # The rest of its folder goes on.
    assert load(written, "PerpImbalance").thresholds() == PRESETS["balanced"]


@pytest.mark.parametrize(
    ("space", "name"), [("buy", "enter_zz"), ("sell", "enter_z"), ("protection", "enter_z")]
)
@pytest.mark.parametrize("place", ["class", "file"])
def test_value_of_no_parameter_is_refused(written: Path, place: str, space: str, name: str) -> None:
    """As ``preset apply`` refuses it: freqtrade would leave it aside."""
    define(written, f"{space}_params = {{'{name}': 3.0}}" if place == "class" else "pass")
    if place == "file":
        content = {"strategy_name": "MyOwn", "params": {space: {name: 3.0}}}
        (written / "MyOwn.json").write_text(json.dumps(content))
    message = f"^MyOwn: {space}.{name} is not a parameter of MyOwn: known are .*buy.enter_z"
    with pytest.raises(OperationalException, match=message):
        load(written, "MyOwn")


def test_parameters_that_a_subclass_adds_have_values(written: Path) -> None:
    define(written, "buy_own = IntParameter(1, 9, default=2)\nbuy_params = {'buy_own': 5}")
    assert load(written, "MyOwn").buy_own.value == 5


def test_wrong_value_in_a_parameter_file_is_refused(written: Path) -> None:
    content = {"strategy_name": "PerpImbalance", "params": {"buy": {"enter_z": "x"}}}
    (written / "PerpImbalance.json").write_text(json.dumps(content))
    with pytest.raises(OperationalException, match="PerpImbalance: enter_z is 'x', it must be a"):
        load(written, "PerpImbalance")


def test_value_set_by_init_is_fixed(written: Path) -> None:
    define(
        written, "def __init__(self, config):\n    super().__init__(config)\n    self.enter_z = 2.5"
    )
    assert load(written, "MyOwn").thresholds().enter_z == 2.5


def test_parameter_with_another_range_keeps_its_space(written: Path) -> None:
    define(
        written,
        "enter_z = DecimalParameter(2.0, 5.0, default=3.0)\n"
        'len_prem = IntParameter(20, 40, default=30, space="lookback")',
    )
    strategy = load(written, "MyOwn")
    assert (strategy.enter_z.low, strategy.enter_z.high, strategy.enter_z.space) == (2, 5, "buy")
    assert strategy.enter_z.optimize
    assert (strategy.thresholds().enter_z, strategy.thresholds().len_prem) == (3.0, 30)


@pytest.mark.parametrize(
    ("lines", "section", "setting", "logged"),
    [
        ('entry_mode = "flip"', {}, "flip", ""),
        ('entry_mode = "flip"', {"entry_mode": "zone"}, "zone", "entry_mode is zone in the config"),
        ('buy_params = {"entry_mode": "flip"}', {"leverage": 2}, "flip", ""),
        (
            'buy_params = {"entry_mode": "flip"}',
            {"entry_mode": "zone"},
            "zone",
            "entry_mode is zone in the config and flip in the strategy: the config's counts",
        ),
        ("pass", {"entry_mode": "flip"}, "flip", ""),
    ],
)
def test_config_wins_over_a_class_only_where_it_names_a_setting(
    written: Path,
    caplog: pytest.LogCaptureFixture,
    lines: str,
    section: dict[str, Any],
    setting: str,
    logged: str,
) -> None:
    define(written, lines)
    with caplog.at_level(logging.WARNING, "perp_imbalance"):
        strategy = load(written, "MyOwn", perp_imbalance=section)
    assert strategy.entry_mode.value == setting
    assert caplog.text.count("the config's counts") == bool(logged)
    assert logged in caplog.text


COOLDOWN = [{"method": "CooldownPeriod", "stop_duration_candles": 3}]


@pytest.mark.parametrize(
    "lines",
    [
        f"protections = {COOLDOWN}",
        f"@property\ndef protections(self):\n    return {COOLDOWN}",
        f"{INIT}    self.protections = {COOLDOWN}",
    ],
    ids=["list", "property", "init"],
)
def test_config_protections_replace_the_class_protections(
    written: Path, caplog: pytest.LogCaptureFixture, lines: str
) -> None:
    define(written, lines)
    assert load(written, "MyOwn", perp_imbalance={"leverage": 2}).protections == COOLDOWN
    assert not caplog.records or "protections count" not in caplog.text
    named = [{"method": "MaxDrawdown", "trade_limit": 5, "stop_duration_candles": 3}]
    assert load(written, "MyOwn", perp_imbalance={"protections": named}).protections == named
    assert load(written, "PerpImbalance").protections != COOLDOWN


def test_log_says_that_config_protections_win(
    written: Path, caplog: pytest.LogCaptureFixture
) -> None:
    define(written, f"protections = {COOLDOWN}")
    load(written, "MyOwn", perp_imbalance={"protections": []})
    assert caplog.text.count("the config's protections replace those of MyOwn") == 1


@pytest.mark.parametrize(
    ("lines", "scale_out", "is_on", "logged"),
    [
        ("pass", 0.0, False, ""),
        ("pass", 0.5, True, ""),
        ("position_adjustment_enable = True", 0.0, True, ""),
        (
            "position_adjustment_enable = False",
            0.5,
            True,
            "the config's scale_out counts, not position_adjustment_enable = False of MyOwn",
        ),
    ],
)
def test_position_adjustment_is_on_where_class_or_config_ask(
    written: Path,
    caplog: pytest.LogCaptureFixture,
    lines: str,
    scale_out: float,
    is_on: bool,
    logged: str,
) -> None:
    define(written, lines)
    strategy = load(written, "MyOwn", perp_imbalance={"scale_out": scale_out})
    assert strategy.position_adjustment_enable is is_on
    assert logged in caplog.text


def test_bot_start_without_super_leaves_the_alerts_working(written: Path) -> None:
    define(written, "def bot_start(self, **kwargs):\n    pass")
    assert load(written, "MyOwn").started


class Analysed:
    """A data provider that has analysed one candle with an entry signal."""

    def get_analyzed_dataframe(self, pair: str, timeframe: str) -> tuple[pd.DataFrame, None]:
        date = pd.Timestamp("2025-03-01 12:00", tz="UTC")
        row = {"date": date, "close": 100.0, "enter_short": 1, "enter_tag": "short_zone_z"}
        return pd.DataFrame([row]), None


@pytest.mark.parametrize(("seconds", "is_confirmed"), [(5, True), (500, False)])
def test_late_entry_of_a_subclass_is_refused(
    strategies: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, is_confirmed: bool
) -> None:
    """freqtrade takes an exception in this callback for a yes."""
    strategy = load(strategies, "MineGuarded")
    strategy.dp = Analysed()
    monkeypatch.setattr(strategy, "lock_pair", lambda *_, **__: None)
    now = pd.Timestamp("2025-03-01 13:00", tz="UTC") + timedelta(seconds=seconds)
    arguments = ("BTC/USDT:USDT", "limit", 1.0, 100.0, "GTC", now.to_pydatetime())
    assert strategy.confirm_trade_entry(*arguments, "short_zone_z", "short") is is_confirmed


def backtest(run: Freqtrade, datadir: Path, strategies: Path, *names: str) -> None:
    process = run(
        *("backtesting", "--enable-protections", "--strategy-list", *names, *SPAN),
        *("--strategy-path", str(strategies)),
        datadir=datadir,
    )
    assert process.returncode == 0, process.stderr
    assert "caused the following" not in process.stdout + process.stderr
    assert "Traceback" not in process.stdout + process.stderr


@pytest.mark.freqtrade
def test_each_trades_together_as_it_does_alone(
    freqtrade: Freqtrade, sample_datadir: Path, strategies: Path, tmp_path: Path
) -> None:
    columns = ["pair", "is_short", "open_date", "close_date", "exit_reason", "profit_ratio"]
    alone: dict[str, pd.DataFrame] = {}
    for name in NAMES:
        backtest(freqtrade, sample_datadir, strategies, name)
        alone |= backtest_trades(tmp_path / "user_data")
    backtest(freqtrade, sample_datadir, strategies, *NAMES)
    together = backtest_trades(tmp_path / "user_data")
    for name in NAMES:
        pd.testing.assert_frame_equal(together[name][columns], alone[name][columns])
    assert 0 < len(alone["MineStrict"]) < len(alone["MinePlain"])
    assert set(alone["MineGuarded"]["leverage"]) == {2.0}
    assert "small_win" in set(alone["MineGuarded"]["exit_reason"])
    doubled = alone["MineDoubling"]["orders"].map(
        lambda orders: any(order["ft_order_tag"] == "doubled" for order in orders)
    )
    assert doubled.any()
    assert alone["MineFixed"]["enter_tag"].str.endswith("_z_htf").all()


@pytest.mark.freqtrade
def test_each_trades_in_a_dry_run(strategies: Path, tmp_path: Path) -> None:
    (tmp_path / "user_data").mkdir()
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight - timedelta(days=30)
    write_sample_market(tmp_path / "binance", start=start, days=32, pairs=SAMPLE_PAIRS)
    with running_replay(tmp_path / "binance") as replay:
        overlay = replay_config(replay.url)
        overlay["exchange"]["pair_whitelist"] = SAMPLE_PAIRS
        overlay |= {"strategy_path": str(strategies), "user_data_dir": str(tmp_path / "user_data")}
        (tmp_path / "overlay.json").write_text(json.dumps(overlay))
        process = subprocess.run(
            [
                *(sys.executable, "-P", str(ROOT / "tests" / "support" / "dry_run.py")),
                *(str(CONFIG), str(tmp_path / "overlay.json"), "--", *NAMES),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert process.returncode == 0, process.stderr
    found = json.loads(process.stdout.splitlines()[-1])
    assert "caused the following" not in process.stderr
    assert {name: one["enter_z"] for name, one in found.items()} == {
        **{"MinePlain": 1.7, "MineStrict": 3.0, "MineFixed": 2.0},
        **{"MineGuarded": 1.7, "MineDoubling": 1.3},
    }
    assert all(one["entered"] for one in found.values())
    assert found["MineGuarded"]["leverage"] == 2.0
    assert found["MineGuarded"]["called"] == [
        *("bot_start", "confirm_trade_entry", "custom_exit", "custom_stoploss", "leverage"),
    ]
    assert found["MineGuarded"]["protections"][-1] == "CooldownPeriod"
    assert found["MineDoubling"]["protections"] == ["CooldownPeriod"]

"""The doctor on what a config changes of a bot's trades: attributes, stakes, stoplosses."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from doctor_fixtures import BTC, Examine, to_fix
from freqtrade_fixtures import ROOT

from perp_imbalance.doctor import Check, Level, Report
from perp_imbalance.doctor.opening import Loaded
from perp_imbalance.doctor.overrides import check_overrides, overridden

pytestmark = [
    pytest.mark.freqtrade,
    # freqtrade's own call of pandas, on every answer of the exchange.
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.drop is deprecated"),
]


def named(report: Report, name: str, level: Level) -> list[Check]:
    return [check for check in report.of(level) if check.name == name]


def test_overrides_of_the_strategy_by_the_config_are_named(doctor: Examine) -> None:
    """freqtrade takes them in silence, and a position would then be closed by its stoploss only."""
    report = doctor(
        [BTC],
        use_exit_signal=False,
        exit_profit_only=True,
        startup_candle_count=50,
        position_adjustment_enable=False,
        max_open_trades=0,
        minimal_roi={"0": 0.01},
        trailing_stop=True,
        margin_mode="cross",
        perp_imbalance={"scale_out": 0.5},
    )
    fixes = [check.message for check in to_fix(report)]
    for said in (
        "the config's \"use_exit_signal\" is false, the strategy's true: no exit signal closes",
        "the config's \"exit_profit_only\" is true, the strategy's false: an exit signal closes no",
        "the config's \"startup_candle_count\" is 50, the strategy's 459: signals come from",
        "the config's \"position_adjustment_enable\" is false, the strategy's true for perp_imb",
        '"max_open_trades" is 0: no trade would ever be opened; set it to 1 or more',
    ):
        assert len([message for message in fixes if message.startswith(said)]) == 1, fixes
    assert len(fixes) == 5
    warnings = [check.message for check in named(report, "overrides", Level.WARNING)]
    for said in (
        'the config\'s "minimal_roi" is {"0": 0.01}, the strategy\'s {"0": 100}: positions end at',
        "the config's \"trailing_stop\" is true, the strategy's false: the stoploss follows",
        '"margin_mode" is "cross", made for "isolated"',
    ):
        assert len([message for message in warnings if message.startswith(said)]) == 1, warnings
    assert len(warnings) == 3
    own = [message for message in fixes + warnings if message.startswith("the config's")]
    assert all(message.endswith("; remove it from the config") for message in own)


def test_config_that_says_what_the_strategy_says_overrides_nothing(doctor: Examine) -> None:
    report = doctor(
        [BTC],
        use_exit_signal=True,
        exit_profit_only=False,
        startup_candle_count=500,
        position_adjustment_enable=False,
        minimal_roi={"0": 100},
        trailing_stop=False,
    )
    assert not to_fix(report)
    (check,) = (check for check in report.checks if check.name == "overrides")
    assert check.level is Level.OK


STRATEGY = """
from PerpImbalance import PerpImbalance
from perp_imbalance.parameters import with_preset


@with_preset("balanced")
class Mine(PerpImbalance):
    use_exit_signal = False
    minimal_roi = {"0": 0.05}
"""


@pytest.fixture
def strategies(tmp_path: Path) -> Path:
    """The shipped strategies and one derived from them, without parameter files."""
    folder = tmp_path / "strategies"
    shutil.copytree(ROOT / "strategies", folder, ignore=shutil.ignore_patterns("*.json"))
    (folder / "Mine.py").write_text(STRATEGY, encoding="utf-8")
    return folder


def test_strategy_of_its_own_is_what_overrides_are_compared_with(
    doctor: Examine, strategies: Path
) -> None:
    own: dict[str, Any] = {"strategy_path": str(strategies), "strategy": "Mine"}
    report = doctor([BTC], **own, use_exit_signal=False, minimal_roi={"0": 0.05})
    assert not to_fix(report)
    assert not named(report, "overrides", Level.WARNING)
    report = doctor([BTC], **own, minimal_roi={"0": 100})
    (warning,) = named(report, "overrides", Level.WARNING)
    assert 'is {"0": 100}, the strategy\'s {"0": 0.05}' in warning.message


def test_parameter_file_is_what_overrides_are_compared_with(
    doctor: Examine, strategies: Path
) -> None:
    params = {"roi": {"0": 0.2}, "trailing": {"trailing_stop": True}}
    content = {"strategy_name": "PerpImbalance", "params": params}
    (strategies / "PerpImbalance.json").write_text(json.dumps(content), encoding="utf-8")
    own: dict[str, Any] = {"strategy_path": str(strategies)}
    assert not named(doctor([BTC], **own), "overrides", Level.WARNING)
    assert not named(doctor([BTC], **own, trailing_stop=True), "overrides", Level.WARNING)
    report = doctor([BTC], **own, minimal_roi={"0": 100})
    (warning,) = named(report, "overrides", Level.WARNING)
    assert 'is {"0": 100}, the strategy\'s {"0": 0.2}' in warning.message


class OnExchange:
    order_types = {"entry": "limit", "stoploss_on_exchange": True}  # noqa: RUF012


@pytest.mark.parametrize(("dry_run", "levels"), [(True, [Level.OK]), (False, [Level.WARNING])])
def test_stoploss_off_the_exchange_is_a_warning_for_live_money(
    dry_run: bool, levels: list[Level]
) -> None:
    overriding = overridden({"order_types": {"entry": "limit", "stoploss_on_exchange": False}})
    found = check_overrides(overriding, Loaded(OnExchange()), {"dry_run": dry_run})
    assert [check.level for check in found] == levels
    assert dry_run or "nothing guards a position while the bot is down" in found[0].message

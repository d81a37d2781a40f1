"""The doctor on what a config changes of a bot's trades: attributes, stakes, stoplosses."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.doctor import BTC, ETH, Examine, only_fix, to_fix
from support.freqtrade import ROOT

from perp_imbalance.doctor import Check, Level, Report
from perp_imbalance.doctor.opening import Loaded
from perp_imbalance.doctor.overrides import check_overrides, overridden
from perp_imbalance.doctor.stake_checks import (
    Stake,
    StopDistance,
    check_price_type,
    check_stake,
    check_stoploss,
)
from perp_imbalance.strategy.settings import Settings

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


def test_config_equal_to_the_strategy_overrides_nothing(doctor: Examine) -> None:
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
from perp_imbalance.strategy.parameters import with_preset


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


def test_overrides_are_compared_with_the_own_strategy(doctor: Examine, strategies: Path) -> None:
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
    order_types: dict[str, Any] = {"entry": "limit", "stoploss_on_exchange": True}  # noqa: RUF012
    settings: Settings


@pytest.mark.parametrize(("dry_run", "levels"), [(True, [Level.OK]), (False, [Level.WARNING])])
def test_stoploss_off_the_exchange_is_a_warning_for_live_money(
    dry_run: bool, levels: list[Level]
) -> None:
    overriding = overridden({"order_types": {"entry": "limit", "stoploss_on_exchange": False}})
    found = check_overrides(overriding, Loaded(OnExchange()), {"dry_run": dry_run})
    assert [check.level for check in found] == levels
    assert dry_run or "nothing guards a position while the bot is down" in found[0].message


def test_stake_below_the_smallest_one_opens_no_trade(doctor: Examine) -> None:
    """The replay takes orders from 5 USDT on, and freqtrade wants room for the stoploss on top."""
    report = doctor([BTC, ETH], stake_amount=1, perp_imbalance={"leverage": 2.0})
    fixes = to_fix(report)
    assert [(check.name, check.pair) for check in fixes] == [("stake", BTC), ("stake", ETH)]
    assert fixes[1].message.startswith("a stake of 1 USDT is below the smallest one of 3.75")
    assert (
        "at leverage 2: no trade of it would ever be opened; raise stake_amount or"
        in fixes[1].message
    )
    assert not to_fix(doctor([ETH], stake_amount=6))


def test_stake_that_the_balance_never_holds_must_be_fixed(doctor: Examine) -> None:
    fix = only_fix(doctor([BTC], stake_amount=5000))
    assert fix.message.startswith("stake_amount is 5000 USDT, more than the 990 that may be traded")


@pytest.mark.parametrize(
    ("config", "amount", "tradable"),
    [
        ({}, 330, 990),
        ({"stake_amount": 25}, 25, 990),
        ({"max_open_trades": float("inf"), "stake_amount": 25}, 25, 990),
        ({"max_open_trades": 0}, None, 990),
        ({"dry_run_wallet": {"BTC": 1, "USDT": 100}}, 33, 99),
        ({"dry_run": False}, None, None),
        ({"dry_run": False, "available_capital": 600}, 200, 600),
        ({"dry_run": False, "stake_amount": 25}, 25, None),
    ],
)
def test_stake_is_the_one_that_freqtrade_would_begin_with(
    config: dict[str, Any], amount: float | None, tradable: float | None
) -> None:
    shipped = {
        **{"stake_amount": "unlimited", "stake_currency": "USDT", "max_open_trades": 3},
        **{"dry_run": True, "dry_run_wallet": 1000, "tradable_balance_ratio": 0.99},
    }
    stake = Stake.of({**shipped, **config})
    assert stake.amount == pytest.approx(amount)
    assert stake.tradable == pytest.approx(tradable)


@pytest.mark.parametrize(
    ("amount", "tradable", "smallest", "level"),
    [
        (100, None, None, Level.OK),
        (None, None, 100, Level.OK),
        (100, 1000, 100, Level.OK),
        # freqtrade raises a stake by up to 30 %, where the balance allows.
        (100, 1000, 130, Level.WARNING),
        (100, None, 130, Level.WARNING),
        (100, 120, 130, Level.MUST_FIX),
        (100, 1000, 131, Level.MUST_FIX),
    ],
)
def test_stake_against_the_smallest_one(
    amount: float | None, tradable: float | None, smallest: float | None, level: Level
) -> None:
    stake = Stake(amount, tradable, "USDT", is_fixed=True)
    assert check_stake(BTC, stake, smallest, 1).level is level


def test_leverage_that_leaves_the_price_no_room_must_be_fixed(doctor: Examine) -> None:
    settings = {"leverage": 100.0}
    fix = only_fix(doctor([BTC, ETH], stoploss=-0.1, perp_imbalance=settings))
    assert fix.name == "stoploss"
    assert "a stoploss of 0.1 of the stake ends a position when the price of" in fix.message
    assert "has moved by 0.10%, no more than the fees of a round trip (0.10%)" in fix.message
    assert "and so for 1 more pair: lower perp_imbalance.leverage" in fix.message


def test_leverage_is_at_most_that_of_the_exchange(doctor: Examine) -> None:
    """By freqtrade's own tiers of Binance, 330 USDT of 1000PEPE may have 50 at most."""
    report = doctor(["1000PEPE/USDT:USDT"], perp_imbalance={"leverage": 120.0})
    assert "at leverage 50," in only_fix(report).message


def test_stop_behind_the_liquidation_price_must_be_fixed(doctor: Examine) -> None:
    """freqtrade's tiers of Binance: 0.4 % of maintenance margin on 330 USDT of BTC."""
    fix = only_fix(doctor([BTC], stoploss=-0.98, perp_imbalance={"leverage": 10.0}))
    assert fix.message == (
        "at leverage 10, a stoploss of 0.98 of the stake ends a position when the price of "
        f"{BTC} has moved by 9.80%, behind its liquidation price, which is 9.08% away: lower "
        "perp_imbalance.leverage, or narrow the stoploss"
    )


@pytest.mark.parametrize(
    ("leverage", "stop", "liquidation"),
    # Of freqtrade's buffer of 5 % and the nearer of both sides.
    [(1.0, 0.3, 0.9424), (2.0, 0.3, 0.4694), (3.0, 0.3, 0.3116), (10.0, 0.0847, 0.0908)],
)
def test_report_has_stop_and_liquidation_of_each_pair(
    doctor: Examine, leverage: float, stop: float, liquidation: float
) -> None:
    report = doctor([BTC], perp_imbalance={"leverage": leverage})
    assert not to_fix(report)
    (pair,) = report.pairs
    found = (pair.leverage, pair.stop, pair.liquidation)
    assert found == pytest.approx((leverage, stop, liquidation), abs=1e-4)
    assert any(
        f"{BTC} is liquidated {pair.liquidation:.2%} from its entry" in check.message
        for check in named(report, "stoploss", Level.OK)
    )


def test_own_stoploss_is_reported_as_freqtrade_uses_it(doctor: Examine, strategies: Path) -> None:
    def source(name: str = "PerpImbalance", **config: Any) -> list[str]:
        report = doctor([BTC], name, strategy_path=str(strategies), **config)
        found = named(report, "stoploss", Level.OK)
        return [
            check.message.split(" of the stake")[0] for check in found if "sets" in check.message
        ]

    assert source() == source(perp_imbalance={"leverage": 2.0}) == []
    assert source("Mine") == []
    (strategies / "Mine.py").write_text(STRATEGY + "    stoploss = -0.2\n", encoding="utf-8")
    assert source("Mine") == ["Mine sets it to -0.2"]
    content = {"strategy_name": "PerpImbalance", "params": {"stoploss": {"stoploss": -0.15}}}
    (strategies / "PerpImbalance.json").write_text(json.dumps(content), encoding="utf-8")
    assert source() == ["the parameter file sets it to -0.15"]
    assert source(stoploss=-0.1) == ["the config sets it to -0.1"]


class _Exchange:
    name = "Someone"

    def __init__(self, *prices: str) -> None:
        self.prices = prices

    def get_option(self, name: str, default: Any) -> Any:
        return dict.fromkeys(self.prices)


@pytest.mark.parametrize(
    ("prices", "types", "level", "said"),
    [
        (("last", "mark"), {}, Level.OK, "the mark price triggers it"),
        (("last", "mark"), {"stoploss_price_type": "last"}, Level.OK, "the last price triggers it"),
        (("last",), {}, Level.WARNING, "Someone offers freqtrade no stop by the mark price"),
        ((), {}, Level.WARNING, "Someone offers freqtrade no stop by the mark price"),
        (("mark",), {"stoploss_on_exchange": False}, None, ""),
    ],
)
def test_price_type_that_triggers_the_stop_is_reported(
    prices: tuple[str, ...], types: dict[str, Any], level: Level | None, said: str
) -> None:
    strategy = OnExchange()
    strategy.settings = Settings()
    strategy.order_types = {**OnExchange.order_types, **types}
    checks = check_price_type(_Exchange(*prices), strategy)
    assert [check.level for check in checks] == ([] if level is None else [level])
    assert all(check.message.startswith(said) for check in checks)


@pytest.mark.parametrize(
    ("leverage", "swing", "level", "said"),
    [
        (1, 0.003, Level.OK, "has moved by 10.00%"),
        (10, 0.003, Level.OK, "has moved by 1.00%"),
        (20, 0.003, Level.WARNING, "has moved by 0.50%, less than 1%"),
        (50, 0.003, Level.MUST_FIX, "no more than half the range of its usual candle (0.30%)"),
        (50, float("nan"), Level.WARNING, "less than 1%"),
        (100, 0.0001, Level.MUST_FIX, "no more than the fees of a round trip (0.10%)"),
    ],
)
def test_stoploss_against_leverage(leverage: float, swing: float, level: Level, said: str) -> None:
    calm = StopDistance(ETH, 1, 0.1, 0.001, 0.0001)
    room = StopDistance(BTC, leverage, 0.1 / leverage, 0.001, swing)
    (check,) = check_stoploss(-0.1, [calm, room] if level is not Level.OK else [room])
    assert check.level is level
    assert said in check.message
    assert level is Level.OK or f"the price of {BTC}" in check.message


def test_misspelt_key_of_a_protection_must_be_fixed(doctor: Examine, strategies: Path) -> None:
    """freqtrade leaves it aside and protects with its own default."""
    wrong = {"method": "StoplossGuard", "lookback_period_candels": 24}
    said = "protections[0]: StoplossGuard has no lookback_period_candels, write it as lookback_pe"
    fix = only_fix(doctor([BTC], perp_imbalance={"protections": [wrong]}))
    assert (fix.name, said in fix.message) == ("settings", True)
    # A strategy of its own has them in its class.
    source = (strategies / "RsiWithImbalance.py").read_text("utf-8")
    source = source.replace(
        "    can_short = True\n", f"    protections = [{wrong}]\n    can_short = True\n"
    )
    (strategies / "RsiWithImbalance.py").write_text(source, encoding="utf-8")
    fix = only_fix(doctor([BTC], "RsiWithImbalance", strategy_path=str(strategies)))
    assert (fix.name, fix.message.startswith(f"RsiWithImbalance.{said}")) == ("protections", True)


def test_spot_pair_of_a_perp_that_is_not_there_is_a_warning(doctor: Examine) -> None:
    assigned = {name: {"pair": "BTC/USDT"} for name in (BTC, "NOPE/USDT:USDT")}
    report = doctor([BTC], perp_imbalance={"spot_pairs": assigned})
    assert not to_fix(report)
    said = [check.message for check in named(report, "spot pair", Level.WARNING)]
    assert len([message for message in said if "no active perp of this name" in message]) == 1
    assert "assigns a spot pair to NOPE/USDT:USDT, and binance has no active perp" in said[0]


def test_gate_is_switched_off_where_it_is_on(doctor: Examine, strategies: Path) -> None:
    """Which of config, parameter file and class switched it on, the user cannot tell."""
    own: dict[str, Any] = {"strategy_path": str(strategies)}
    source = (strategies / "Mine.py").read_text("utf-8") + '    buy_params = {"use_oi": True}\n'
    (strategies / "Mine.py").write_text(source, encoding="utf-8")
    assert "set use_oi to false in Mine.py, or" in only_fix(doctor([BTC], "Mine", **own)).message
    content = {"strategy_name": "PerpImbalance", "params": {"buy": {"use_oi": True}}}
    (strategies / "PerpImbalance.json").write_text(json.dumps(content), encoding="utf-8")
    fix = only_fix(doctor([BTC], **own))
    assert "set use_oi to false in PerpImbalance.json, or" in fix.message
    # The config's switch counts before the file's.
    fix = only_fix(doctor([BTC], **own, perp_imbalance={"use_oi": True}))
    assert "set use_oi to false in the config's perp_imbalance, or take" in fix.message
    assert not to_fix(doctor([BTC], **own, perp_imbalance={"use_oi": False}))


def test_live_config_is_checked_as_live(doctor: Examine) -> None:
    """The balance of a live account is not that of a dry-run, and is not asked for."""
    live: dict[str, Any] = {"dry_run": False, "stake_amount": 5000, "max_open_trades": 1}
    report = doctor([BTC], **live, perp_imbalance={"leverage": 3.0})
    assert not to_fix(report)
    stop, price = named(report, "stoploss", Level.OK)
    assert "at leverage 3, where the price has moved by 30.00%" in stop.message
    assert price.message.startswith("the mark price triggers it")
    off = {"stoploss_on_exchange": False, "entry": "limit", "exit": "limit", "stoploss": "market"}
    report = doctor([BTC], **{**live, "stake_amount": 1}, order_types=off)
    assert only_fix(report).name == "stake"
    assert "nothing guards a position" in named(report, "overrides", Level.WARNING)[0].message


def test_alert_only_bot_needs_no_balance(doctor: Examine) -> None:
    telling = {"alert_only": True, "leverage": 100.0}
    assert not to_fix(doctor([BTC], stake_amount=1, max_open_trades=0, perp_imbalance=telling))

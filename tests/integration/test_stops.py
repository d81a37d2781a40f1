"""Stops: of the price whatever the leverage, by the mark price, and on a candle's close."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from freqtrade.enums import RunMode
from freqtrade.exceptions import OperationalException
from freqtrade.persistence import LocalTrade
from freqtrade.resolvers import StrategyResolver
from support.data_provider import Candles
from support.freqtrade import PRESET_STRATEGIES, ROOT

from perp_imbalance.freqtrade_bridge.internals import exchange_classes

PAIR = "BTC/USDT:USDT"
BINANCE = {"name": "binance", "ccxt_config": {"options": {"defaultType": "future"}}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the strategies, as in a trader's ``user_data/strategies``."""
    folder = tmp_path / "strategies"
    shutil.copytree(ROOT / "strategies", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def resolve(folder: Path, name: str = "PerpImbalance", **config: Any) -> Any:
    return StrategyResolver.load_strategy(
        {
            **{"strategy": name, "strategy_path": str(folder), "user_data_dir": folder.parent},
            **{"runmode": RunMode.BACKTEST, "trading_mode": "futures", "timeframe": "1h"},
            **config,
        }
    )


def load(folder: Path, name: str = "PerpImbalance", **config: Any) -> Any:
    strategy = resolve(folder, name, **config)
    strategy.ft_bot_start()
    return strategy


def of_stake(folder: Path, name: str = "PerpImbalance", **config: Any) -> float:
    return float(load(folder, name, **config).stoploss)


def define(folder: Path, body: str) -> None:
    (folder / "Mine.py").write_text(
        f"from PerpImbalance import PerpImbalance\n\n\nclass Mine(PerpImbalance):\n    {body}\n"
    )


def parameter_file(folder: Path, stoploss: float) -> None:
    content = {"strategy_name": "Mine", "params": {"stoploss": {"stoploss": stoploss}}}
    (folder / "Mine.json").write_text(json.dumps(content))


def position(stoploss: float, leverage: float, side: str = "long") -> LocalTrade:
    trade = LocalTrade(
        **{"pair": PAIR, "is_short": side == "short", "stake_amount": 10.0, "amount": 0.1},
        **{"open_rate": 100.0, "fee_open": 0.0, "fee_close": 0.0, "leverage": leverage},
        **{"precision_mode_price": 4, "price_precision": 0.01},
        open_date=pd.Timestamp("2025-03-01 12:05", tz="UTC").to_pydatetime(),
    )
    trade.adjust_stop_loss(100.0, stoploss, initial=True)
    return trade


@pytest.mark.parametrize("name", PRESET_STRATEGIES)
@pytest.mark.parametrize(
    ("leverage", "low", "high"),
    # Beyond leverage 3 the liquidation price is nearer.
    [(1.0, 70, 130), (2.0, 70, 130), (3.0, 70, 130), (10.0, 91.54, 108.46)],
)
def test_price_may_move_30_percent_whatever_the_leverage(
    folder: Path, name: str, leverage: float, low: float, high: float
) -> None:
    stoploss = of_stake(folder, name, perp_imbalance={"leverage": leverage})
    assert position(stoploss, leverage).stop_loss == pytest.approx(low)
    assert position(stoploss, leverage, "short").stop_loss == pytest.approx(high)


def test_own_stoploss_is_of_the_stake(folder: Path) -> None:
    section: dict[str, Any] = {"perp_imbalance": {"leverage": 3.0}}
    define(folder, "'''The shipped stop.'''")
    assert of_stake(folder, "Mine", **section) == -0.9
    assert of_stake(folder, "Mine", **section, stoploss=-0.3) == -0.3
    # The same number as the shipped one, and still the user's own.
    define(folder, "stoploss = -0.3")
    assert of_stake(folder, "Mine", **section) == -0.3
    parameter_file(folder, -0.2)
    assert of_stake(folder, "Mine", **section) == -0.2
    assert of_stake(folder, "Mine", **section, stoploss=-0.1) == -0.1


@pytest.mark.parametrize("stoploss", [0, 0.3, -1.5, -30])
@pytest.mark.parametrize("place", ["config", "class", "parameter file"])
def test_invalid_stoploss_is_refused_in_one_line(folder: Path, place: str, stoploss: float) -> None:
    config: dict[str, Any] = {}
    define(folder, f"stoploss = {stoploss}" if place == "class" else "'''No stop of its own.'''")
    if place == "config":
        config["stoploss"] = stoploss
    elif place == "parameter file":
        parameter_file(folder, stoploss)
    with pytest.raises(OperationalException) as caught:
        load(folder, "Mine", **config)
    assert str(caught.value).removeprefix("Mine: ") == (
        f"stoploss is {stoploss:g}, it must be from -1 to below 0: -0.3 is 30 % of the stake"
    )


class _Bot(Candles):
    """A data provider with an exchange, as a bot's strategy has one at its start."""

    def __init__(self, exchange: str) -> None:
        super().__init__(Path())
        kind = getattr(exchange_classes, exchange)
        options = {**kind._ft_has, **kind._ft_has_futures}
        self._exchange = type("Exchange", (), {"get_option": staticmethod(options.get)})


def order_types(folder: Path, exchange: str, name: str = "PerpImbalance", **config: Any) -> Any:
    bot: dict[str, Any] = {"runmode": RunMode.DRY_RUN, "exchange": BINANCE, **config}
    strategy = resolve(folder, name, **bot)
    strategy.dp = _Bot(exchange)
    strategy.ft_bot_start()
    return strategy.order_types


@pytest.mark.parametrize(
    ("exchange", "price_type"),
    [
        *((name, "mark") for name in ("Binance", "Bybit", "Okx", "Gate", "Bitget")),
        ("Hyperliquid", None),
    ],
)
def test_mark_price_triggers_stops_where_the_exchange_offers_it(
    folder: Path, exchange: str, price_type: str | None
) -> None:
    assert order_types(folder, exchange).get("stoploss_price_type") == price_type


def test_own_price_type_is_kept(folder: Path) -> None:
    own = {"entry": "limit", "exit": "limit", "stoploss": "market", "stoploss_on_exchange": True}
    found = order_types(folder, "Binance", order_types={**own, "stoploss_price_type": "last"})
    assert found["stoploss_price_type"] == "last"
    assert order_types(folder, "Binance", order_types=own)["stoploss_price_type"] == "mark"
    # No strategy writes into the dict of its class.
    assert "stoploss_price_type" not in load(folder).order_types


HOURS = pd.date_range("2025-03-01 10:00", periods=5, freq="1h", tz="UTC")


class Analysed:
    """A data provider that has analysed some candles."""

    def __init__(self, **columns: Any) -> None:
        self.dataframe = pd.DataFrame({"date": HOURS[: len(columns["close"])], **columns})

    def get_analyzed_dataframe(self, pair: str, timeframe: str) -> tuple[pd.DataFrame, None]:
        return self.dataframe, None


@pytest.mark.parametrize("runmode", [RunMode.BACKTEST, RunMode.DRY_RUN])
@pytest.mark.parametrize(
    ("side", "closes", "reason"),
    # The position is entered after the candle of 11:00, in that of 12:00.
    [
        ("long", [100, 80], None),
        ("long", [100, 80, 95], "stop_on_close"),
        ("long", [100, 80, 95.1], None),
        ("long", [100, 100, 94, 96], None),
        ("short", [100, 120, 105.1], "stop_on_close"),
        ("short", [100, 120, 104.9], None),
        ("long", [100, 100, float("nan")], None),
    ],
)
def test_close_against_a_position_ends_it_in_bot_and_backtest(
    folder: Path, runmode: RunMode, side: str, closes: list[float], reason: str | None
) -> None:
    strategy = load(folder, perp_imbalance={"stop_on_close": 0.05})
    strategy.config["runmode"] = runmode
    bias = 1 if side == "long" else -1
    strategy.dp = Analysed(close=closes, bias=bias, premium=0.001)
    asked: dict[str, Any] = {"current_rate": 100.0, "current_profit": 0.0}
    now = (HOURS[len(closes)] + pd.Timedelta("5s")).to_pydatetime()
    trade = position(-0.3, 1.0, side)
    assert strategy.custom_exit(PAIR, trade, now, **asked) == reason
    strategy.settings = strategy.settings.model_copy(update={"stop_on_close": 0.0})
    assert strategy.custom_exit(PAIR, trade, now, **asked) is None

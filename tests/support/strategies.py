"""Load strategies as freqtrade does, from a new folder."""

import shutil
from pathlib import Path
from typing import Any

from freqtrade.enums import RunMode
from freqtrade.resolvers import StrategyResolver

from support.freqtrade import ROOT

#: Settings with which Binance returns spot candles for spot pairs.
SAFE = {"options": {"defaultType": "future"}}
_BASE = "from freqtrade.strategy import *\nfrom PerpImbalance import PerpImbalance\n"
_BASE += "from perp_imbalance.strategy.parameters import with_preset\n"


def copy_strategies(parent: Path) -> Path:
    """Return a copy of our strategies, as in a trader's ``user_data/strategies``."""
    folder = parent / "strategies"
    shutil.copytree(ROOT / "strategies", folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def load(folder: Path, name: str = "PerpImbalance", **config: Any) -> Any:
    """Return a strategy that has started, for a backtest unless the config says otherwise."""
    strategy = StrategyResolver.load_strategy(
        {
            **{"strategy": name, "strategy_path": str(folder), "user_data_dir": folder.parent},
            **{"runmode": RunMode.BACKTEST, "trading_mode": "futures", "timeframe": "1h"},
            **config,
        }
    )
    strategy.ft_bot_start()
    return strategy


def define(folder: Path, body: str, *, decorator: str = "", name: str = "MyOwn") -> None:
    """Write a class with these lines next to our strategies."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    (folder / f"{name}.py").write_text(
        f"{_BASE}\n{decorator}\nclass {name}(PerpImbalance):\n{lines}\n"
    )

"""Fit one window by a search over simulated trades instead of freqtrade's hyperopt."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from perp_imbalance.data.backtest_data import open_backtest_data
from perp_imbalance.freqtrade_bridge.config import complete_config
from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
from perp_imbalance.research.tuning.names import WINDOW_FOLDS
from perp_imbalance.research.tuning.search import Search, evaluation
from perp_imbalance.research.tuning.space import space_of
from perp_imbalance.research.tuning.task import Candles, folds_of, strategy_alone
from perp_imbalance.research.walk_forward.task import Bundle
from perp_imbalance.research.windows import Window
from perp_imbalance.strategy.settings import Settings


def kernel_fit(
    folder: Path, bundle: Bundle, window: Window, check: Callable[[], None]
) -> dict[str, Any]:
    """Search the training part; return the epochs and the winner as plain data.

    It writes the winner's parameter file next to the strategy, as hyperopt does.

    :param folder: folder with the candles in ``data`` and the strategies in ``strategies``.
    :param check: called between trials; an exception from it ends the search.
    """
    fit = bundle.fit
    user_data = str(folder / "user_data")
    config = complete_config(bundle.config, datadir=folder / "data", user_data_dir=user_data)
    data = open_backtest_data(
        folder / "data",
        config["timeframe"],
        Settings.from_config(config),
        exchange=config["exchange"]["name"],
        data_format=config["dataformat_ohlcv"],
        pairs=bundle.pairs,
        # Of those, the command told before it began.
        costs=(),
    )
    strategy = strategy_alone(config, fit.strategy, bundle.strategies)
    traded = Candles(data, config, strategy).traded(window.train_range)
    folds = folds_of(traded, window, WINDOW_FOLDS, fit.objective, fit.min_trades)
    search = Search(space_of(strategy, spaces=fit.spaces), fit.epochs, fit.seed + window.number)
    with evaluation(traded, folds, 1) as evaluate:
        found = search.run(evaluate, lambda done, total: check())
    best = found.best
    result: dict[str, Any] = {
        "epochs": len(found.tried),
        "epoch_sharpes": [outcome.sharpe for outcome in found.outcomes],
        "params": {},
        "in_sample": {},
        "parameter_file": None,
    }
    if best is None:
        return result
    outcome, thresholds = found.outcomes[best], found.tried[best]
    result["params"] = {name: getattr(thresholds, name) for name in search.space.axes}
    result["in_sample"] = {
        "total_trades": outcome.trades,
        "profit_total": outcome.profit,
        "score": outcome.score,
        "daily_sharpe": outcome.sharpe,
    }
    file = folder / "strategies" / f"{fit.strategy}.json"
    ParameterFile.of(thresholds).write(file, fit.strategy)
    result["parameter_file"] = ParameterFile.read(file).as_dict()
    return result

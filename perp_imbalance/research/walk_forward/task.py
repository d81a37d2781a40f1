"""The data that is sent to a worker: candles, strategies, config and a window, as plain data."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perp_imbalance.freqtrade_bridge.secrets import without_secrets
from perp_imbalance.research.strategy_sources import sources
from perp_imbalance.research.tuning.names import OBJECTIVE_NAMES
from perp_imbalance.research.windows import Window

if TYPE_CHECKING:
    from perp_imbalance.data.backtest_data import BacktestData

# Nothing of it has a part in a backtest, and no secret is to leave this machine.
_KEPT_HERE = (
    *("telegram", "discord", "webhook", "api_server", "external_message_consumer", "coingecko"),
    *("db_url", "logfile", "log_config", "config_files", "add_config_files", "$schema"),
    *("user_data_dir", "datadir", "strategy_path", "hyperopt_path", "recursive_strategy_search"),
)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def code_versions() -> dict[str, str]:
    """Return the versions of the code that computes windows; equal versions give equal results."""
    import freqtrade

    package = package_sources()
    whole = "\0".join(f"{name}\0{text}" for name, text in sorted(package.items()))
    return {"this project": _digest(whole.encode()), "freqtrade": freqtrade.__version__}


def package_sources() -> dict[str, str]:
    """Return the Python files of this package by relative name."""
    import perp_imbalance
    from perp_imbalance import indicators

    found = sources(Path(perp_imbalance.__file__).parent)
    # A clone has links for these two folders, and links are not followed.
    mathematics = sources(Path(indicators.__file__).parent)
    found |= {f"indicators/{name}": text for name, text in mathematics.items()}
    # Copies for users; the strategies of a run are sent with it.
    return {name: text for name, text in found.items() if not name.startswith("shipped/strat")}


@dataclass(frozen=True)
class Fit:
    """How each window is fitted.

    :ivar loss: hyperopt's loss function.
    :ivar presets: strategies to test for comparison, unchanged.
    :ivar engine: ``kernel`` for a search over simulated trades, ``freqtrade`` for its hyperopt.
    :ivar objective: objective of the search over simulated trades.
    """

    strategy: str
    spaces: list[str]
    epochs: int
    loss: str
    min_trades: int
    seed: int
    presets: list[str]
    engine: str = "freqtrade"
    objective: str = OBJECTIVE_NAMES[0]


@dataclass(frozen=True)
class Bundle:
    """The data that all windows share.

    :ivar files: candle files by name.
    :ivar strategies: source texts of strategies by file name.
    :ivar losses: source texts of the user's own hyperopt losses.
    :ivar config: freqtrade's config without secrets.
    :ivar code: :func:`code_versions` of the machine that began.
    """

    fit: Fit
    pairs: list[str]
    wallet: float
    config: dict[str, Any]
    files: dict[str, bytes]
    strategies: dict[str, str]
    losses: dict[str, str]
    code: dict[str, str] = field(default_factory=code_versions)

    def plan(self, windows: Sequence[Window]) -> dict[str, Any]:
        """Return the inputs of a run; two runs with equal inputs have equal results."""
        plan = {
            "fit": asdict(self.fit),
            "pairs": self.pairs,
            "wallet": self.wallet,
            "config": self.config,
            "candles": {name: _digest(content) for name, content in self.files.items()},
            "strategies": {name: _digest(text.encode()) for name, text in self.strategies.items()},
            "losses": {name: _digest(text.encode()) for name, text in self.losses.items()},
            "code": self.code,
            "windows": [
                {"name": window.name, "train": window.train_range, "test": window.test_range}
                for window in windows
            ],
        }
        # As it comes back from a file.
        found: dict[str, Any] = json.loads(json.dumps(plan))
        return found


# What a plan's parts are called. Where it has names of its own, those that changed follow.
_PARTS = {
    **{"fit": "options", "pairs": "pairs", "wallet": "wallet", "config": "config"},
    **{"candles": "candles", "strategies": "strategy files", "losses": "hyperopt losses"},
    **{"code": "code", "windows": "windows (--timerange, --train, --test or --anchored)"},
}
_NAMED = 3


def changes(before: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """Return a text that lists the differences between a plan and an earlier one.

    >>> changes({"code": {"freqtrade": 1}, "wallet": 9}, {"code": {"freqtrade": 2}, "wallet": 8})
    ['code (freqtrade)', 'wallet']
    """
    if "code" not in before:
        # Of an earlier version of this project, which wrote down other things.
        return ["code (this project)"]
    found = []
    for key, now in plan.items():
        old = before.get(key)
        if old == now:
            continue
        said = _PARTS[key]
        if isinstance(old, dict) and isinstance(now, dict):
            names = sorted(name for name in old | now if old.get(name) != now.get(name))
            more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
            said += f" ({', '.join(names[:_NAMED] + more)})"
        found.append(said)
    return found


def portable_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config without secrets and without paths of this machine."""
    kept = {key: value for key, value in config.items() if key not in _KEPT_HERE}
    return without_secrets(kept)


def candle_files(data: "BacktestData", exchange: str) -> dict[str, bytes]:
    """Return the files that a backtest of a folder's perps reads, by relative name.

    :param exchange: the config's exchange.
    """
    from freqtrade.enums import CandleType

    from perp_imbalance.data.backtest_data import series_keys
    from perp_imbalance.data.folder import cost_keys
    from perp_imbalance.indicators.gates import GATE_SERIES

    timeframes = [data.timeframe, data.htf_timeframe]
    kinds = [CandleType(of.candle_type) for of in GATE_SERIES.values() if not of.with_candles]
    wanted = [
        key
        for match in data.matches
        for key in (
            *series_keys(match, timeframes, kinds),
            *cost_keys(match.perp, exchange).values(),
        )
    ]
    files = {data.folder.file(*key) for key in wanted if key in data.folder.keys}
    place, made = data.folder.datadir, data.folder.for_freqtrade
    return {
        file.relative_to(made if file.is_relative_to(made) else place).as_posix(): file.read_bytes()
        for file in sorted(files)
    }

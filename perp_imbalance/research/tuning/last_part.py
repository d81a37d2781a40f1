"""Backtest the winner of a search with freqtrade, on candles that the search did not use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perp_imbalance.errors import CommandError
from perp_imbalance.files import temporary_folder
from perp_imbalance.freqtrade_bridge.parameter_file import ParameterFile
from perp_imbalance.replay import local_config, running_replay
from perp_imbalance.research.freqtrade_runs import FreqtradeFolder, held
from perp_imbalance.research.strategy_sources import write_sources
from perp_imbalance.research.windows import Window


@dataclass(frozen=True)
class LastPart:
    """The last part of a time range, which the search did not use.

    :param window: window whose test part this is.
    :param datadir: folder of candles.
    :param config: the config, complete except for the exchange's address.
    :param pairs: the whitelist.
    :param strategies: source texts of strategies by file name.
    :param strategy: the class that trades the winner.
    :param presets: classes to test for comparison, unchanged.
    """

    window: Window
    datadir: Path
    config: Mapping[str, Any]
    pairs: Sequence[str]
    strategies: Mapping[str, str]
    strategy: str
    presets: Sequence[str]

    def test(self, winner: ParameterFile) -> dict[str, Any]:
        """Return the trades of the winner and of each preset, and the result of buy and hold.

        :raises CommandError: if freqtrade fails or is killed.
        """
        with temporary_folder() as folder, running_replay(self.datadir) as replay:
            for place in ("strategies", "presets"):
                write_sources(folder / place, self.strategies)
            winner.write(folder / "strategies" / f"{self.strategy}.json", self.strategy)
            (folder / "user_data").mkdir()
            config = local_config(self.config, replay.url)
            freqtrade = FreqtradeFolder(folder, self.datadir.resolve(), config)
            span = self.window.test_range
            try:
                traded = freqtrade.backtest("strategies", [self.strategy], span)
                presets = {}
                if self.presets:
                    presets = freqtrade.backtest("presets", self.presets, span)
            except RuntimeError as error:
                raise CommandError(str(error)) from None
        return {
            "winner": traded[self.strategy],
            "presets": presets,
            "hold": held(self.datadir, self.pairs, self.config, span),
        }

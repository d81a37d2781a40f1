"""A bot's exchange, served in its own language on the stepped clock."""

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from perp_imbalance.freqtrade_bridge.internals import deep_merge_dicts
from perp_imbalance.markets.exchange_name import CANDLES_OF
from perp_imbalance.rehearsal.child import PATIENCE_MS
from perp_imbalance.rehearsal.stage import Stage
from perp_imbalance.replay import Replay
from support.dialects import Listening, running_dialect

#: In the plan's folder: which paths were asked how often, and which of them there are not.
ASKED = "asked.json"


class DialectStage(Stage):
    """The exchange that the plan's config names; the bot keeps the config's section on it."""

    listening: Listening

    @contextmanager
    def exchange(self) -> Iterator[Replay]:
        """Serve the exchange until the block is left."""
        name = self.plan.config["exchange"]["name"]
        with running_dialect(name, self.plan.datadir) as self.listening:
            yield self.listening.replay

    def config(self, config: dict[str, Any]) -> Mapping[str, Any]:
        """Return the bot's config as its user wrote it, but for the exchange's address."""
        section = copy.deepcopy(self.plan.config["exchange"])
        deep_merge_dicts(self.listening.config["exchange"], section)
        section["ccxt_config"]["timeout"] = PATIENCE_MS
        section["markets_refresh_interval"] = config["exchange"]["markets_refresh_interval"]
        local = {key: value for key, value in config.items() if key not in ("fee", CANDLES_OF)}
        return {**local, "exchange": section}

    def ended(self) -> None:
        """Write down what was asked."""
        paths = [request.path for request in self.listening.replay.requests]
        asked = {path: paths.count(path) for path in sorted(set(paths))}
        unknown = sorted(self.listening.dialect.unknown)
        (self.plan.folder / ASKED).write_text(json.dumps({"asked": asked, "unknown": unknown}))

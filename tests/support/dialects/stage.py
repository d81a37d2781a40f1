"""A rehearsal stage that serves an exchange's own API on the stepped clock."""

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

#: File in the plan's folder: number of requests per path, and requested unknown paths.
ASKED = "asked.json"


class DialectStage(Stage):
    """The exchange that the plan's config names; the bot keeps the config's exchange section."""

    listening: Listening

    @contextmanager
    def exchange(self) -> Iterator[Replay]:
        """Serve the exchange during the block."""
        name = self.plan.config["exchange"]["name"]
        with running_dialect(name, self.plan.datadir) as self.listening:
            yield self.listening.replay

    def config(self, config: dict[str, Any]) -> Mapping[str, Any]:
        """Return the bot's config unchanged, except for the exchange's address."""
        section = copy.deepcopy(self.plan.config["exchange"])
        deep_merge_dicts(self.listening.config["exchange"], section)
        section["ccxt_config"]["timeout"] = PATIENCE_MS
        section["markets_refresh_interval"] = config["exchange"]["markets_refresh_interval"]
        local = {key: value for key, value in config.items() if key not in ("fee", CANDLES_OF)}
        return {**local, "exchange": section}

    def ended(self) -> None:
        """Write the requests to a file."""
        paths = [request.path for request in self.listening.replay.requests]
        asked = {path: paths.count(path) for path in sorted(set(paths))}
        unknown = sorted(self.listening.dialect.unknown)
        (self.plan.folder / ASKED).write_text(json.dumps({"asked": asked, "unknown": unknown}))

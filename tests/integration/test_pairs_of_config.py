"""The pairs that a config means, on an exchange: patterns, blacklist, and pair lists."""

import json
from pathlib import Path
from typing import Any

import pytest
from freqtrade.misc import deep_merge_dicts
from support.tiny_replay import TINY_PAIRS

from perp_imbalance.cli.main import run
from perp_imbalance.errors import PerpImbalanceError
from perp_imbalance.freqtrade_bridge.config import load_config
from perp_imbalance.freqtrade_bridge.pairs import Universe, load_universe
from perp_imbalance.replay import Replay, replay_config

pytestmark = pytest.mark.freqtrade

BTC, PEPE = (perp for _, perp, *_ in TINY_PAIRS)
VOLUME = {"method": "VolumePairList", "number_assets": 2, "sort_key": "quoteVolume"}


@pytest.fixture
def files(tiny_config: Path, tiny_replay: Replay) -> list[Path]:
    overlay = tiny_config.with_name("overlay.json")
    overlay.write_text(json.dumps(replay_config(tiny_replay.url)), encoding="utf-8")
    return [tiny_config, overlay]


def universe(files: list[Path], exchange: dict[str, Any], **settings: Any) -> Universe:
    config = json.loads(files[1].read_text("utf-8"))
    content = deep_merge_dicts({"exchange": exchange, **settings}, config)
    files[1].write_text(json.dumps(content), encoding="utf-8")
    return load_universe(load_config(files))


@pytest.mark.parametrize(
    ("exchange", "settings", "perps"),
    [
        ({"pair_whitelist": [".*/USDT:USDT"]}, {}, {BTC, PEPE}),
        ({"pair_whitelist": [".*/USDT:USDT"], "pair_blacklist": ["BTC/.*"]}, {}, {PEPE}),
        ({"pair_whitelist": []}, {"pairlists": [VOLUME]}, {BTC, PEPE}),
        ({"pair_blacklist": [PEPE]}, {"pairlists": [VOLUME]}, {BTC}),
    ],
    ids=["pattern", "blacklist", "volume", "volume and blacklist"],
)
def test_pairs_are_those_that_freqtrade_means(
    files: list[Path], exchange: dict[str, Any], settings: dict[str, Any], perps: set[str]
) -> None:
    assert set(universe(files, exchange, **settings).perps) == perps


@pytest.mark.parametrize(
    ("exchange", "settings", "message"),
    [
        ({"pair_whitelist": []}, {}, "pair_whitelist leaves no pair"),
        ({"pair_whitelist": ["*/USDT"]}, {}, r"Wildcard error in \*/USDT"),
        (
            {"pair_whitelist": []},
            {"pairlists": [{"method": "ProducerPairList"}]},
            "pairs of ProducerPairList",
        ),
        ({}, {"pairlists": [{"method": "NoSuchList"}]}, "NoSuchList"),
    ],
)
def test_empty_pair_list_is_refused_in_one_line(
    files: list[Path], exchange: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(PerpImbalanceError, match=message) as refused:
        universe(files, exchange, **settings)
    assert "\n" not in str(refused.value)


def test_pairs_command_expands_the_whitelist(
    files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    universe(files, {"pair_whitelist": [".*/USDT:USDT"]})
    options = [word for file in files for word in ("-c", str(file))]
    with pytest.raises(SystemExit) as left:
        run(["pairs", *options, "--whitelist", "--json"])
    assert left.value.code == 0
    assert {row["perp"] for row in json.loads(capsys.readouterr().out)} == {BTC, PEPE}

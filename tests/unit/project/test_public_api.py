"""The names that other strategies are built on: ``perp_imbalance.__all__``."""

import ast
import inspect
import re
import subprocess
import sys

import pytest
from support.freqtrade import ROOT

import perp_imbalance

#: What a change breaks for those who use it: change it on purpose, and say so in CHANGELOG.md.
SIGNATURES = {
    "Thresholds": (
        "(enter_z: float = 1.7, exit_z: float = 0.9, len_prem: int = 50, smooth_len: int = 3, "
        "use_sigma: bool = True, bb_len: int = 100, bb_k: float = 1.25, use_htf: bool = False, "
        "htf_z_min: float = 0.8, hot_z: float = 3.0, use_funding: bool = False, "
        "funding_min: float = 0.0001, use_oi: bool = False, oi_len: int = 12, "
        "oi_min: float = 0.01, min_deviation_bps: float = 0.0, dev_len: int = 200, "
        "robust_z: bool = False) -> None"
    ),
    "entry_signals": (
        "(columns: pandas.DataFrame, thresholds: "
        "perp_imbalance.indicators.thresholds.Thresholds, mode: Literal['zone', 'flip'] = "
        "'zone', sides: collections.abc.Collection[str] = ('short', 'long')) -> "
        "pandas.DataFrame"
    ),
    "check_spot_setting": "(config: collections.abc.Mapping[str, typing.Any]) -> None",
    "exchange_name": "(config: collections.abc.Mapping[str, typing.Any]) -> str",
    "exit_signals": "(columns: pandas.DataFrame) -> pandas.DataFrame",
    "imbalance_columns": (
        "(perp: pandas.DataFrame, spot: pandas.DataFrame, *, scale: float = 1.0, thresholds: "
        "perp_imbalance.indicators.thresholds.Thresholds | None = None, timeframe: str = '', "
        "htf: tuple[pandas.DataFrame, pandas.DataFrame] | None = None, htf_timeframe: str = "
        "'4h', max_stale_candles: int = 12, memory: int = 459) -> pandas.DataFrame"
    ),
    "match_spot": (
        "(perp: str, markets: collections.abc.Callable[[str], collections.abc.Mapping[str, "
        "typing.Any] | None], *, exchange: str, overrides: collections.abc.Mapping[str, "
        "perp_imbalance.markets.spot_pairs.SpotPair] | None = None, source: "
        "Union[Literal['spot', 'index', 'premium_index'], Literal['auto'], "
        "collections.abc.Sequence[Literal['spot', 'index', 'premium_index']]] = 'spot') -> "
        "perp_imbalance.markets.spot_matching.SpotMatch"
    ),
}

PRESETS = ("conservative", "balanced", "aggressive", "deep_discount")


def test_public_names_are_these() -> None:
    values = {"PRESETS", "__version__"}
    assert set(perp_imbalance.__all__) == values | set(SIGNATURES)
    assert set(perp_imbalance.__all__) <= set(dir(perp_imbalance))
    assert set(perp_imbalance.PRESETS) == {*PRESETS}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature_of_a_public_function_stays(name: str) -> None:
    assert str(inspect.signature(getattr(perp_imbalance, name))) == SIGNATURES[name]


def test_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'perp_imbalance' has no attribute 'zones'"):
        _ = perp_imbalance.zones


def test_import_loads_no_library() -> None:
    code = (
        "import sys, time; begin = time.process_time(); import perp_imbalance; "
        "print(time.process_time() - begin, *{'pandas', 'numpy', 'freqtrade'} & {*sys.modules}); "
        "from perp_imbalance import Thresholds; print(Thresholds().enter_z)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    first, second = process.stdout.splitlines()
    # Nothing but the seconds: no library was loaded.
    assert float(first) < 0.05
    assert float(second) == 1.7


def test_example_strategy_uses_nothing_else() -> None:
    source = (ROOT / "strategies" / "RsiWithImbalance.py").read_text("utf-8")
    imported = {
        (node.module, name.name)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("perp_imbalance")
        for name in node.names
    }
    assert imported
    assert imported <= {("perp_imbalance", name) for name in perp_imbalance.__all__}


SWITCH = {"yes": "1", "no": "0"}


def test_reference_page_has_the_values_of_the_presets() -> None:
    page = (ROOT / "docs" / "reference" / "signal.md").read_text("utf-8")
    values_of = r" \| (.*?)" * len(PRESETS)
    rows = re.findall(rf"^\| (`\w+`(?: / `\w+`)?){values_of} \|", page, re.MULTILINE)
    presets = [perp_imbalance.PRESETS[name] for name in PRESETS]
    compared = 0
    for names, *values in rows:
        for at, name in enumerate(re.findall(r"\w+", names)):
            if hasattr(presets[0], name):
                compared += 1
                told = [value.split(" / ")[at] for value in values]
                wanted = [getattr(preset, name) for preset in presets]
                assert [float(SWITCH.get(one, one)) for one in told] == wanted, name
    assert compared == 13

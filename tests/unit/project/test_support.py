"""What the live tests and the chaos runs print and publish."""

import pytest
from live.test_live_orders import ABOUT, MONEY
from support.chaos.__main__ import main
from support.chaos.reports import summary
from support.freqtrade import ROOT


@pytest.mark.parametrize("seed", [["--seed", "0"], ["--seed", "4", "-3"], ["--seeds", "0"]])
def test_seed_below_one_is_refused(seed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(seed)
    assert left.value.code == 2
    assert capsys.readouterr().err.endswith("error: a seed is 1 or more\n")


@pytest.mark.parametrize(("number", "said"), [(1, "1 life in 7 s"), (2, "2 lives in 7 s")])
def test_summary_counts_lives(number: int, said: str) -> None:
    life = {"seed": 1, "broken": [], "known": [], "kinds": [], "seconds": 3.5}
    assert summary([life] * number, 7.0).startswith(f"{said}: 0 failed")


def test_live_tests_publish_the_text_of_the_page() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text("utf-8")
    for text in (ABOUT, MONEY):
        assert text in page

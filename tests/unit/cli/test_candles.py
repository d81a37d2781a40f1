"""Which candles a command takes when none are named."""

import argparse
import logging
from pathlib import Path

import pytest

from perp_imbalance.cli import backtest
from perp_imbalance.data import sample
from perp_imbalance.errors import DataError
from perp_imbalance.reconcile.span import pairs_of


@pytest.mark.parametrize(
    ("stored", "named", "taken"),
    [
        ("futures/BTC_USDT_USDT-1h-futures.feather", None, "user_data/data/binance"),
        # Spot candles alone are not enough for a backtest.
        ("BTC_USDT-1h.feather", None, str(backtest.SAMPLE_DATADIR)),
        ("BTC_USDT-1h.feather", "other", "other"),
    ],
)
def test_named_folder_comes_first_then_config_then_sample(
    stored: str,
    named: str | None,
    taken: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sample, "ensure_sample_market", lambda datadir: datadir)
    own = tmp_path / "user_data/data/binance"
    (own / "futures").mkdir(parents=True)
    (own / stored).touch()
    arguments = argparse.Namespace(datadir=named)
    with caplog.at_level(logging.WARNING):
        assert str(backtest.candle_folder(arguments, {"datadir": own})) == taken
    assert ("SYNTHETIC" in caplog.text) == (taken == str(backtest.SAMPLE_DATADIR))


def test_config_without_pairs_is_refused_by_its_name(tmp_path: Path) -> None:
    """As new-config writes it: the pairs come from a VolumePairList."""
    config = {
        "dataformat_ohlcv": "feather",
        "pairlists": [{"method": "VolumePairList"}],
        "exchange": {"name": "binance", "pair_whitelist": []},
    }
    (tmp_path / "futures").mkdir()
    (tmp_path / "futures/BTC_USDT_USDT-1h-futures.feather").touch()
    with pytest.raises(DataError, match=r"pair_whitelist has no pairs: .*--pairs"):
        pairs_of(config, None, tmp_path, "1h")

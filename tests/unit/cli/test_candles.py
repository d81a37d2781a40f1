"""Which candles a command takes when none are named."""

import logging
from pathlib import Path

import pytest

from perp_imbalance.cli import backtest
from perp_imbalance.data import sample
from perp_imbalance.errors import DataError
from perp_imbalance.reconcile.span import pairs_of


@pytest.mark.parametrize("name", ["BTC_USDT_USDT-1h-futures.feather", "BTC_USDT-1h.feather"])
def test_sample_market_warns_if_there_are_own_candles(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Spot candles alone are not enough for a backtest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sample, "ensure_sample_market", lambda datadir: datadir)
    own = tmp_path / "user_data/data/binance"
    (own / "futures").mkdir(parents=True)
    (own / "futures" / name).touch()
    with caplog.at_level(logging.WARNING):
        assert backtest.sample_folder({"datadir": own}) == backtest.SAMPLE_DATADIR
    assert ("add --datadir user_data/data/binance" in caplog.text) == ("futures" in name)


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

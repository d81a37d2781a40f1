"""A sample market around now, for what asks an exchange about the present."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from perp_imbalance.data.sample import write_sample_market
from support.freqtrade import SAMPLE_PAIRS, add_open_interest, spot_to_index


@pytest.fixture(scope="session")
def today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months, in which ETH has an index in place of a spot pair; not to be changed."""
    datadir = tmp_path_factory.mktemp("today") / "binance"
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    # 4h candles of the conservative preset: 350 of them are 58 days.
    write_sample_market(datadir, start=midnight - timedelta(days=60), days=62, pairs=SAMPLE_PAIRS)
    spot_to_index(datadir, "ETH", "ETH")
    add_open_interest(datadir, SAMPLE_PAIRS)
    return datadir

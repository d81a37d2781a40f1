"""A sample market around now, for commands that ask an exchange about the present."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from perp_imbalance.data.sample import write_sample_market
from support.freqtrade import SAMPLE_PAIRS, add_open_interest, spot_to_index


@pytest.fixture(scope="session")
def today(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months, in which ETH has an index instead of a spot pair; tests must not change it."""
    datadir = tmp_path_factory.mktemp("today") / "binance"
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    # The conservative preset needs 350 candles of 4h, which are 58 days.
    write_sample_market(datadir, start=midnight - timedelta(days=60), days=62, pairs=SAMPLE_PAIRS)
    spot_to_index(datadir, "ETH", "ETH")
    add_open_interest(datadir, SAMPLE_PAIRS)
    return datadir

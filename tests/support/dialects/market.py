"""The sample market under the names and in the units of another exchange."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

#: Spot pair of a perp, and coins of spot in one unit of it.
Spots = dict[str, tuple[str, float]]

PRICES = ["open", "high", "low", "close"]
#: Decimals of the finest price, a thousandth of 1000PEPE's.
DECIMALS = 10


class Coin(NamedTuple):
    """A perp with its spot pair, and whose candles of the sample market they get.

    :ivar perp: base of the perp
    :ivar spot: base of the spot pair
    :ivar scale: coins of spot in one unit of the perp
    :ivar sample: base of the sample's perp
    :ivar sample_spot: base of the sample's spot pair
    :ivar divisors: of the sample's prices of perp and spot
    """

    perp: str
    spot: str
    scale: float
    sample: str
    sample_spot: str
    divisors: tuple[int, int] = (1, 1)


BTC, ETH = Coin("BTC", "BTC", 1, "BTC", "BTC"), Coin("ETH", "ETH", 1, "ETH", "ETH")
PEPE = Coin("PEPE", "PEPE", 1, "1000PEPE", "PEPE", (1000, 1))
#: A name of each kind that an exchange has.
COINS = {
    "bybit": [
        BTC,
        Coin("1000PEPE", "PEPE", 1000, "1000PEPE", "PEPE"),
        Coin("SHIB1000", "SHIB", 1000, "ETH", "ETH", (1, 1000)),
    ],
    "okx": [BTC, ETH, PEPE],
    "gate": [BTC, ETH, PEPE],
    "bitget": [BTC, ETH, Coin("1000BONK", "BONK", 1000, "1000PEPE", "PEPE")],
    "hyperliquid": [BTC, ETH, Coin("KBONK", "BONK", 1000, "1000PEPE", "PEPE")],
}


def write_exchange_market(sample: Path, datadir: Path, exchange: str, quote: str) -> Spots:
    """Write the sample market as an exchange would have it.

    :param sample: folder of the sample market
    :param datadir: folder to write, in freqtrade's layout
    :param quote: of all pairs
    """
    (datadir / "futures").mkdir(parents=True)
    for coin in COINS[exchange]:
        for part, name in (
            (f"futures/{coin.sample}_USDT_USDT-", f"futures/{coin.perp}_{quote}_{quote}-"),
            (f"{coin.sample_spot}_USDT-", f"{coin.spot}_{quote}-"),
        ):
            divisor = coin.divisors[part.startswith(coin.sample_spot)]
            for file in sample.glob(f"{part}*.feather"):
                frame = pd.read_feather(file)
                if "funding_rate" not in frame.columns:
                    frame[PRICES] = np.round(frame[PRICES] / divisor, DECIMALS)
                frame.to_feather(datadir / f"{name}{file.name.partition('-')[2]}")
    return {
        f"{coin.perp}/{quote}:{quote}": (f"{coin.spot}/{quote}", coin.scale)
        for coin in COINS[exchange]
    }

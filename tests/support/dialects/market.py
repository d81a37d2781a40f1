"""The sample market with the names and units of another exchange."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

PRICES = ["open", "high", "low", "close"]
#: Decimals of the finest price, a thousandth of 1000PEPE's.
DECIMALS = 10


class Coin(NamedTuple):
    """A perp, the series that it is compared with, and the sample candles that both use.

    :ivar perp: base of the perp
    :ivar spot: base of its spot pair; None if it has only an index
    :ivar scale: spot coins per unit of the perp
    :ivar sample: base of the sample's perp
    :ivar divisors: divide the sample's prices of perp and spot
    """

    perp: str
    spot: str | None
    scale: int
    sample: str
    divisors: tuple[int, int] = (1, 1)


class Exchange(NamedTuple):
    """The markets of an exchange.

    :ivar coins: one for each naming pattern of the exchange
    :ivar quote: quote currency of all pairs
    :ivar digits: significant digits of a price, besides whole numbers; None if its tick is fixed
    """

    coins: list[Coin]
    quote: str = "USDT"
    digits: int | None = None

    @property
    def perps(self) -> dict[str, Coin]:
        """The coins by freqtrade's name of the perp."""
        return {f"{coin.perp}/{self.quote}:{self.quote}": coin for coin in self.coins}


BTC, PEPE = Coin("BTC", "BTC", 1, "BTC"), Coin("PEPE", "PEPE", 1, "1000PEPE", (1000, 1))
BONK = Coin("1000BONK", "BONK", 1000, "1000PEPE")
ONLY_INDEX = Coin("HYPE", None, 1, "ETH")
EXCHANGES = {
    "bybit": Exchange(
        [
            BTC,
            Coin("1000PEPE", "PEPE", 1000, "1000PEPE"),
            Coin("SHIB1000", "SHIB", 1000, "ETH", (1, 1000)),
            ONLY_INDEX,
        ]
    ),
    "okx": Exchange([BTC, PEPE, ONLY_INDEX]),
    "gate": Exchange([BTC, PEPE, ONLY_INDEX]),
    "bitget": Exchange([BTC, BONK, ONLY_INDEX]),
    "hyperliquid": Exchange(
        [BTC, BONK._replace(perp="KBONK"), Coin("ETH", "ETH", 1, "ETH")], "USDC", 5
    ),
}


def write_exchange_market(sample: Path, datadir: Path, exchange: Exchange) -> None:
    """Write the sample market as another exchange would list it.

    :param sample: folder of the sample market
    :param datadir: folder to write, in freqtrade's layout
    """
    (datadir / "futures").mkdir(parents=True)
    quote = exchange.quote
    for coin in exchange.coins:
        perp = datadir / "futures" / f"{coin.perp}_{quote}_{quote}"
        for file in sample.glob(f"futures/{coin.sample}_USDT_USDT-*.feather"):
            frame = _in_units(pd.read_feather(file), coin.divisors[0], exchange.digits)
            frame.to_feather(f"{perp}-{file.name.partition('-')[2]}")
        for file in sample.glob(f"{coin.sample.removeprefix('1000')}_USDT-*.feather"):
            frame = _in_units(pd.read_feather(file), coin.divisors[1], exchange.digits)
            timeframe = file.stem.partition("-")[2]
            if coin.spot:
                frame.to_feather(datadir / f"{coin.spot}_{quote}-{timeframe}.feather")
            else:
                # An index has no candle where the exchange returned none.
                traded = frame[frame["volume"] > 0].reset_index(drop=True)
                traded.assign(volume=0.0).to_feather(f"{perp}-{timeframe}-index.feather")


def _in_units(frame: pd.DataFrame, divisor: int, digits: int | None) -> pd.DataFrame:
    """Return candles with prices divided and rounded; funding rates are unchanged."""
    if "funding_rate" in frame.columns:
        return frame
    prices = frame[PRICES].to_numpy() / divisor
    places: Any = DECIMALS
    if digits:
        places = np.clip(digits - 1 - np.floor(np.log10(prices)), 0, DECIMALS)
    rounded = np.round(prices * 10.0**places) / 10.0**places
    return frame.assign(**dict(zip(PRICES, rounded.T, strict=True)))

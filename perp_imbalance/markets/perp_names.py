"""Which perp a user meant who typed another spelling of its name."""

from collections.abc import Iterable

from perp_imbalance.markets.spot_matching import is_other_contract


def did_you_mean(names: Iterable[str], perps: Iterable[str]) -> str:
    """Return the end of a message that names the perps that were meant; empty if none was.

    Nothing but the spelling may differ: another coin is never proposed.

    :param names: what was typed, such as the name of a spot pair.
    :param perps: those that there are; other contracts among them are never meant.

    >>> did_you_mean(["BTC/USDT", "ethusdt", "SOL/USDT"], ["BTC/USDT:USDT", "ETH/USDT:USDT"])
    ': did you mean BTC/USDT:USDT, ETH/USDT:USDT?'
    """
    by_spelling = {_spelling(perp): perp for perp in perps if not is_other_contract(perp)}
    meant = [by_spelling[key] for key in map(_spelling, names) if key in by_spelling]
    return f": did you mean {', '.join(dict.fromkeys(meant))}?" if meant else ""


def _spelling(name: str) -> str:
    """Return coin and quote, without what separates them."""
    pair, _, _ = name.partition(":")
    return "".join(filter(str.isalnum, pair)).casefold()

"""freqtrade's errors as ours, and its log out of sight."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from perp_imbalance.errors import BridgeError
from perp_imbalance.freqtrade_bridge.secrets import refusal


@contextmanager
def translate_freqtrade_errors(about: str) -> Iterator[None]:
    """Raise freqtrade's errors as ours, with their first line, and keep its log out of sight.

    Its log of each step belongs to its own commands, and of an error it logs a page. For a value
    outside a list of names it raises a ValueError.

    :param about: what the message is about, put behind it.
    """
    from freqtrade.exceptions import FreqtradeException

    try:
        with silent_logs():
            yield
    except (FreqtradeException, ValueError) as error:
        raise BridgeError(f"{refusal(error)} ({about})") from None
    except KeyError as error:
        # freqtrade takes some of a config for granted.
        raise BridgeError(f"the config lacks {error} ({about})") from None


@contextmanager
def silent_logs() -> Iterator[None]:
    """Let no logger speak until the block is left."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def quiet_freqtrade() -> Iterator[None]:
    """Keep what freqtrade tells of its steps out of sight, and its errors in it."""
    logger = logging.getLogger("freqtrade")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)

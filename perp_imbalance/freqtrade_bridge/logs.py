"""Translate freqtrade's errors, and hide its log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from perp_imbalance.errors import BridgeError
from perp_imbalance.freqtrade_bridge.secrets import refusal


@contextmanager
def translate_freqtrade_errors(about: str) -> Iterator[None]:
    """Raise freqtrade's errors as this project's, with their first line, and hide its log.

    freqtrade also raises ValueError, for a value that is not in a list of names.

    :param about: subject of the message, appended to it.
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
    """Disable all logging during the block."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def quiet_freqtrade() -> Iterator[None]:
    """Hide freqtrade's log below the level of errors."""
    logger = logging.getLogger("freqtrade")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)

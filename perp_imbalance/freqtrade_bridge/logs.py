"""freqtrade's errors as ours, and its log out of sight."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from perp_imbalance.errors import BridgeError


@contextmanager
def translate_freqtrade_errors(about: str) -> Iterator[None]:
    """Raise freqtrade's errors as ours, with their first line, and keep its log out of sight.

    Its account of each step belongs to its own commands, and of an error it logs a page. A value
    that is none of a list of names it meets with a ValueError.

    :param about: what the message is about, put behind it.
    """
    from freqtrade.exceptions import FreqtradeException

    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    except (FreqtradeException, ValueError) as error:
        message = str(error).strip().splitlines()[0]
        raise BridgeError(f"{refused_key(error)}{message} ({about})") from None
    except KeyError as error:
        # freqtrade takes some of a config for granted.
        raise BridgeError(f"the config lacks {error} ({about})") from None
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


def refused_key(error: BaseException | None) -> str:
    """Return ``key: `` of the config that freqtrade refused; its own message has the value alone.

    :param error: freqtrade's error; the one behind it knows the key, where it is about one.
    """
    while error is not None:
        path = getattr(error, "absolute_path", ())
        if path:
            return f"{'.'.join(map(str, path))}: "
        error = error.__context__
    return ""

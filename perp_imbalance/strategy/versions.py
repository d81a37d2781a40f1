"""The version of freqtrade that this project was tested with."""

from packaging.version import InvalidVersion, Version

#: The release that the whole suite ran with; ``requirements.txt`` pins it.
TESTED_FREQTRADE = "2026.9"


def newer_than_tested(running: str) -> str | None:
    """Return a message if the running freqtrade is newer than the tested one, else None.

    :param running: version of the running freqtrade.

    >>> newer_than_tested("2026.10")
    'freqtrade 2026.10 is newer than 2026.9, the newest that perp-imbalance was tested with'
    """
    try:
        if Version(running) <= Version(TESTED_FREQTRADE):
            return None
    except InvalidVersion:
        # A development version that is named by its commit.
        pass
    return (
        f"freqtrade {running} is newer than {TESTED_FREQTRADE}, the newest that perp-imbalance was "
        "tested with"
    )

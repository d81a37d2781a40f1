"""The files that are no part of the package but come with it: strategies, configs, Pine script.

In a checkout they are links to the folders beside the package; a wheel holds copies of those.
"""

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """Return the path of a shipped file or folder, installed or in a checkout.

    :param name: ``strategies``, ``config``, ``config.json`` or ``pine``, and what is below them.

    >>> shipped("strategies/PerpImbalance.py").is_file()
    True
    """
    return (_HERE / name).resolve()

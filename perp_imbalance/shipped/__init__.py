"""Locate the shipped strategies, configs and Pine script, installed or in a checkout.

In a checkout, this folder has links to them; a wheel has copies.
"""

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def shipped(name: str) -> Path:
    """Return the path of a shipped file or folder.

    :param name: ``strategies``, ``config``, ``config.json``, ``pine``, or a path in one of them.

    >>> shipped("strategies/PerpImbalance.py").is_file()
    True
    """
    return (_HERE / name).resolve()

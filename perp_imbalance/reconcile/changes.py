"""Compare the settings of two runs."""

import json
from collections.abc import Mapping
from typing import Any

# What is of one process, or follows from the others.
_NO_SETTING = {"started", "preset", "freqtrade"}
# Longer values are only named.
_LONGEST = 40
_SECTIONS = ("thresholds", "settings", "config")


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the differences between two sets of settings, as text.

    :param before: from :meth:`perp_imbalance.strategy.stored_entry.StoredEntries.entry_settings`
    :param now: the other set; settings that only one set has are ignored, since versions differ

    >>> changes({"thresholds": {"enter_z": 2.0}}, {"thresholds": {"enter_z": 1.7}})
    ['enter_z was 2.0, is 1.7']
    """
    old, new = _flat(before), _flat(now)
    return [
        f"{name} was {old[name]}, is {new[name]}"
        if max(len(old[name]), len(new[name])) <= _LONGEST
        else name
        for name in old
        if name in new and old[name] != new[name]
    ]


def _flat(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return values as text by name, in the form that a database returns."""
    found = {name: value for name, value in settings.items() if name not in _NO_SETTING}
    for section in _SECTIONS:
        found |= found.pop(section, {})
    return {name: json.dumps(value, sort_keys=True) for name, value in found.items()}

"""The one family of errors that this project raises on purpose.

Each message is one sentence for the person at the terminal: what is wrong, where, how to mend it.
"""


class PerpImbalanceError(Exception):
    """Base of all errors raised on purpose; a command prints its message and exits with 2."""


class SettingsError(PerpImbalanceError):
    """A threshold or a setting that cannot be traded with."""


class DataError(PerpImbalanceError):
    """Candles that are missing, unreadable or do not fit together."""


class CommandError(PerpImbalanceError):
    """A command that cannot do what it was asked to."""


class BridgeError(PerpImbalanceError):
    """What freqtrade refuses, or what this version of it does not have."""


class ReplayError(PerpImbalanceError):
    """A replay exchange that cannot be served."""


class RehearsalError(PerpImbalanceError):
    """A bot that ended before its rehearsal was over, or a rehearsal that cannot begin."""

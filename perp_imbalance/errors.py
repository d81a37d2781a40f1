"""The exceptions that this project raises.

Each message is one sentence for the user: what is wrong, where, how to mend it.
"""


class PerpImbalanceError(Exception):
    """Base class of this project's errors; a command prints its message and exits with 2."""


class SettingsError(PerpImbalanceError):
    """A threshold or a setting is invalid."""


class DataError(PerpImbalanceError):
    """Candles are missing, unreadable or inconsistent."""


class CommandError(PerpImbalanceError):
    """A command cannot do what the user asked for."""


class BridgeError(PerpImbalanceError):
    """freqtrade refuses something, or this version of it lacks something."""


class ReplayError(PerpImbalanceError):
    """A replay exchange cannot be started."""


class RehearsalError(PerpImbalanceError):
    """A rehearsed bot ended too early, or a rehearsal cannot start."""

"""Fixtures and settings for all tests."""

import os
import signal

from hypothesis import settings
from support.doctor import configure, doctor, doctor_market, doctor_replay
from support.freqtrade import folder, freqtrade, sample_datadir
from support.tiny_replay import tiny_config, tiny_datadir, tiny_replay
from support.today import today
from support.wrong_spot import wrong_spot

from perp_imbalance.freqtrade_bridge.process import collect_rarely

__all__ = [
    "configure",
    "doctor",
    "doctor_market",
    "doctor_replay",
    "folder",
    "freqtrade",
    "sample_datadir",
    "tiny_config",
    "tiny_datadir",
    "tiny_replay",
    "today",
    "wrong_spot",
]

#: Not tests, and strategies among them need freqtrade's own import path.
collect_ignore_glob = ["support/*"]

# At a desk, every run tries new examples; in CI, a change fails for what it changed. Nowhere for
# what else the machine was doing.
settings.register_profile("desk", deadline=None)
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "desk"))

# As the commands that tests run in this process.
collect_rarely()

# Bots and commands that tests start mean the configs they are given, whatever this shell says.
for variable in [name for name in os.environ if name.startswith("FREQTRADE__")]:
    del os.environ[variable]

# A shell starts what runs in its background with SIGINT ignored, nohup with SIGHUP, and that is
# handed on to every process that a test starts, and ends by a signal.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

"""How functions of this package are compiled, and when anew."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])

#: What the files of this package hold, in short.
SOURCES = sha256(
    b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
).hexdigest()


def compiled(function: _Function) -> _Function:
    """Compile what compiled code alone calls: without a way in from Python."""
    options: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    made: _Function = njit(error_model="numpy", **options)(function)
    return made


def cached(function: _Function) -> _Function:
    """Compile what Python calls, and keep that for the next process.

    Numba looks whether the function's own file has changed. What is kept here holds code of the
    other files, too, so that a change of any counts.
    """
    options: Any = {"no_cfunc_wrapper": True}
    made: Any = njit(cache=True, error_model="numpy", **options)(function)
    made._cache._cache_file._source_stamp = SOURCES
    return made  # type: ignore[no-any-return]

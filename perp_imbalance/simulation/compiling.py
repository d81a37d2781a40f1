"""How the functions of this package are compiled, and when they are compiled again."""

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
    """Compile a function that only compiled code calls; Python cannot call it."""
    options: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    made: _Function = njit(error_model="numpy", **options)(function)
    return made


def cached(function: _Function) -> _Function:
    """Compile a function that Python calls, and cache the result on disk.

    Numba checks whether the function's own file has changed. The compiled result contains code of
    other files of this package too, so this check covers all of them.
    """
    options: Any = {"no_cfunc_wrapper": True}
    made: Any = njit(cache=True, error_model="numpy", **options)(function)
    made._cache._cache_file._source_stamp = SOURCES
    return made  # type: ignore[no-any-return]

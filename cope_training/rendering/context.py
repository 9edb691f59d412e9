"""An OpenGL context without a screen (EGL)."""

import importlib
from contextlib import suppress

import moderngl

from cope_ros.core.errors import CopeError


def open_context() -> moderngl.Context:
    """A new context, on a GPU or Mesa's llvmpipe.

    Triton, which PyTorch may import at any time, brings an LLVM of its own; begun after Mesa's it
    ends the process. So it begins first where it is installed (a third of a second).

    Raises:
        CopeError: no EGL driver could be opened.
    """
    with suppress(ImportError):
        importlib.import_module("triton")
    try:
        return moderngl.create_context(
            standalone=True, backend="egl", libegl="libEGL.so.1", libgl="libGL.so.1"
        )
    except Exception as error:  # moderngl raises bare Exception
        raise CopeError(
            f"rendering needs EGL (Debian: libegl1 libgl1 libgl1-mesa-dri), got: {error}"
        ) from error

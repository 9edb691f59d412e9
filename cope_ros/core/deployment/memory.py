"""Keeps freed memory in the process, which tensors of many megabytes are grateful for."""

import ctypes
import platform

# glibc's <malloc.h>
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
_LARGEST = 2**31 - 1
_TOP_PAD = 64 * 2**20  # bytes asked for at a time


def keep_freed_memory() -> bool:
    """Tells glibc's allocator not to return large blocks to the system.

    By default every tensor above a few hundred kilobytes is mapped and unmapped anew, and
    each of its pages faults on first use: on a virtual machine more than half of the time
    of elementwise operations on the CPU. Call it once at the start of a program.

    Returns:
        Whether the allocator took the settings; false where it is not glibc's.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = (
        (_M_MMAP_THRESHOLD, _LARGEST),
        (_M_TRIM_THRESHOLD, _LARGEST),
        (_M_TOP_PAD, _TOP_PAD),
    )
    return all(libc.mallopt(key, value) == 1 for key, value in settings)

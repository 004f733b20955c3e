"""Garbage collection and heap trimming of an idle server: freed memory goes back to the system.

glibc keeps what threads have freed: it gives many threads a heap each, and a heap shrinks at its end alone. One small
block there that is still in use holds all before it. So a server kept 160 MiB after 10,000 requests of 16 clients.
"""

import asyncio
import ctypes
import gc
import os
import time

M_ARENA_MAX = -8  # of <malloc.h>
HEAPS = 2
IDLE = 1.0  # s without work before freed memory is returned
WORK = 0.2  # s of CPU, of all threads; less in IDLE seconds is no work, and more since the last return is worth one


def use_few_heaps() -> None:
    """Before threads begin. Does nothing without glibc, and where the user has set MALLOC_ARENA_MAX."""
    mallopt = _malloc_function("mallopt")
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(M_ARENA_MAX, HEAPS)


async def return_when_idle() -> None:
    """Returns freed memory each time the process has worked and is idle; for ever, or at once without glibc."""
    trim = _malloc_function("malloc_trim")
    if trim is None:
        return
    gc.freeze()  # the model and its modules stay: a collection need not look at them
    returned = 0.0
    while True:
        before = time.process_time()
        await asyncio.sleep(IDLE)
        now = time.process_time()
        if now - before < WORK < now - returned:
            gc.collect()  # requests leave cycles, and each holds a page
            await asyncio.to_thread(trim, 0)
            returned = time.process_time()


def _malloc_function(name: str) -> "ctypes._NamedFuncPointer | None":
    """One of glibc's functions of <malloc.h>; None where the system has another library."""
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None

"""A server has few heaps, so that what one thread freed serves the next, and an idle one returns what is free."""

import subprocess
import sys

import pytest

FREED = """
import asyncio, sys
import psutil
from kyvo.serving.memory import return_when_idle

def resident():
    return psutil.Process().memory_info().rss / 2**20

async def main():
    task = asyncio.create_task(return_when_idle())
    kept = [bytes(1000) for _ in range(150_000)]
    del kept[:-1]
    before = resident()
    await asyncio.sleep(float(sys.argv[1]))
    task.cancel()
    print(before - resident())

asyncio.run(main())
"""
THREADS = """
import sys, threading
from kyvo.serving.memory import use_few_heaps
if sys.argv[1] == "few":
    use_few_heaps()
gate = threading.Barrier(12)
def work():
    gate.wait()
    kept = [bytes(1000) for _ in range(200)]
    gate.wait()
threads = [threading.Thread(target=work) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
import ctypes
libc = ctypes.CDLL(None)
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fdopen.restype = ctypes.c_void_p
stream = libc.fdopen(1, b"w")
libc.malloc_info(0, stream)
libc.fflush(None)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="heaps are counted by glibc's malloc_info")
def test_threads_share_two_heaps():
    heaps = {}
    for kind in ("few", "many"):
        told = subprocess.run([sys.executable, "-c", THREADS, kind], capture_output=True, text=True, check=True)
        heaps[kind] = told.stdout.count("<heap nr=")
    assert heaps["few"] <= 2 < heaps["many"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have another malloc than glibc's")
def test_an_idle_server_returns_what_it_freed():
    """150 MB that one small block held: none of it comes back by itself."""
    returned = {}
    for seconds in ("0", "2.5"):
        told = subprocess.run([sys.executable, "-c", FREED, seconds], capture_output=True, text=True, check=True)
        returned[seconds] = float(told.stdout)
    assert returned["0"] < 10 < 100 < returned["2.5"]

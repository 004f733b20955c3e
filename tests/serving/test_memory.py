"""A server has few heaps, so that what one thread freed serves the next."""

import subprocess
import sys

import pytest

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


@pytest.mark.skipif(sys.platform != "linux", reason="heaps are counted by glibc's malloc_info")
def test_threads_share_two_heaps():
    heaps = {}
    for kind in ("few", "many"):
        told = subprocess.run([sys.executable, "-c", THREADS, kind], capture_output=True, text=True, check=True)
        heaps[kind] = told.stdout.count("<heap nr=")
    assert heaps["few"] <= 2 < heaps["many"]

"""Runs the clients of the C API: each counts, in threads of C and of Python, under one lock.

python tests/clients/run.py [--rounds N] [client …]

A client is a module with `build(folder)` and a class `Client`: `start` starts THREADS threads
that count to `rounds` each under the lock, `read` and `write` are the counter's, `join` waits
for the threads; `start_taking` starts a thread that takes two locks, `join_taking` waits for it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lowthreads

sys.path.insert(0, str(Path(__file__).resolve().parent))

CLIENTS = ["ctypes", "cffi", "capi", "cython"]
PYTHON_THREADS = 2


def count(client: Any, rounds: int) -> tuple[int, int]:
    """Count in all threads at once; return what should have come out, and what did."""
    lock = lowthreads.lock()
    # What Python does takes longer, but in ctypes' threads all is Python.
    in_python = rounds // 10
    in_c = (rounds - in_python) // client.THREADS
    in_python = (rounds - in_c * client.THREADS) // PYTHON_THREADS

    def count_in_python() -> None:
        read, write = client.read, client.write
        for _ in range(in_python):
            with lock:
                write(read() + 1)

    threads = [threading.Thread(target=count_in_python) for _ in range(PYTHON_THREADS)]
    client.start(lock, in_c)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.join()
    return in_c * client.THREADS + in_python * PYTHON_THREADS, client.read()


def wait_until(condition: Any, limit: float = 30) -> Any:
    """Return what is true as soon as it is."""
    end = time.monotonic() + limit
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError("not in time")
        time.sleep(0.001)
    return found


def deadlock(client: Any) -> list[lowthreads.Wait]:
    """Make a deadlock of a thread of C and one of Python; return what is reported of it."""
    first, second = lowthreads.lock(), lowthreads.lock()

    def take_both() -> None:
        with second:
            client.start_taking(first, second)
            wait_until(lambda: any(wait.address == second.address for wait in lowthreads.waits()))
            with first:
                pass

    thread = threading.Thread(target=take_both)
    thread.start()
    found = wait_until(lowthreads.deadlocks)
    first.release()  # for the thread that has it
    thread.join()
    client.join_taking()
    assert len(found) == 1
    by_address = {wait.address: wait for wait in found[0].waits}
    in_c, in_python = by_address[second.address], by_address[first.address]
    assert in_c.owner == in_python.ident == thread.ident
    assert in_python.owner == in_c.ident
    assert in_c.name == f"thread {in_c.ident:#x}" or in_c.name.startswith("Dummy")
    return [in_c, in_python]


def complaint(client: Any) -> str:
    """Let C code wait with the GIL, while the owner of the lock needs it; return what is said."""
    lock = lowthreads.lock()
    locked = threading.Event()

    def hold() -> None:
        with lock:
            locked.set()
            time.sleep(0.1)  # lets the GIL go, and needs it to go on

    thread = threading.Thread(target=hold)
    thread.start()
    locked.wait()
    with stderr_kept() as kept:
        assert client.hold_gil(lock) == 0
    thread.join()
    assert f"{lock.address:#x}, owned by thread {thread.ident:#x}, while it holds" in kept[0]
    return kept[0]


@contextlib.contextmanager
def stderr_kept() -> Iterator[list[str]]:
    """Keep what is written to the descriptor 2, also from C."""
    kept: list[str] = []
    before = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield kept
        finally:
            os.dup2(before, 2)
            os.close(before)
            file.seek(0)
            kept.append(file.read().decode())


def run(name: str, rounds: int) -> None:
    """Build one client and run it."""
    module = importlib.import_module(f"{name}_client")
    with tempfile.TemporaryDirectory() as folder:
        module.build(Path(folder))
        sys.path.insert(0, folder)
        client = module.Client()
        began = time.monotonic()
        expected, found = count(client, rounds)
        took = time.monotonic() - began
        print(f"{name}: counted {found:,} of {expected:,} in {took:.1f} s", flush=True)
        assert found == expected >= rounds - 10
        for wait in deadlock(client):
            print(f"{name}: in the deadlock, {wait.name} waits for {wait.address:#x}")
        if hasattr(client, "count_once"):
            before = client.read()
            client.count_once(lowthreads.lock())
            assert client.read() == before + 1
        if hasattr(client, "hold_gil") and getattr(sys, "_is_gil_enabled", lambda: True)():
            print(f"{name}: {complaint(client).strip()}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Run the clients of the C API.")
    parser.add_argument("--rounds", type=int, default=100_000, help="how far to count in all")
    parser.add_argument("clients", nargs="*", metavar="client", help=f"some of {CLIENTS}")
    chosen = parser.parse_args()
    os.environ.pop("LD_PRELOAD", None)  # a sanitizer, for this process, not for the compiler
    for name in chosen.clients or CLIENTS:
        run(name, chosen.rounds)


if __name__ == "__main__":
    main()

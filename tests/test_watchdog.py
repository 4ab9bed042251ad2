"""`python -m lowthreads run --on-deadlock=... --report-after=... --dump-signal=...`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lowthreads.__main__ import main
from support import LIMIT, run_on_lowthreads

PRELUDE = """
import os, sys, threading, time

def closing():
    os.write(1, f"{time.monotonic()}\\n".encode())

def cycle(count, kind=threading.Lock, at_last=int):
    # Each thread takes its own lock, and when all have, the next one's.
    locks, barrier = [kind() for _ in range(count)], threading.Barrier(count)
    def take_two(i):
        with locks[i]:
            barrier.wait()
            at_last()
            with locks[(i + 1) % count]:
                pass
    for i in range(count):
        threading.Thread(target=take_two, args=(i,), name=f"t{i}", daemon=True).start()

"""


def command(tmp_path: Path, options: list[str], body: str, *arguments: str) -> list[str]:
    program = tmp_path / "program.py"
    program.write_text(PRELUDE + textwrap.dedent(body))
    return [sys.executable, "-m", "lowthreads", "run", *options, str(program), *arguments]


def run(
    tmp_path: Path,
    options: list[str],
    body: str,
    *arguments: str,
    status: int = 0,
    limit: float = LIMIT,
) -> subprocess.CompletedProcess[str]:
    program = PRELUDE + textwrap.dedent(body)
    return run_on_lowthreads(tmp_path, options, program, *arguments, status=status, limit=limit)


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
@pytest.mark.parametrize("count", [2, 16])
def test_a_deadlock_ends_the_program_with_a_report(tmp_path: Path, count: int, kind: str) -> None:
    body = f"cycle({count}, threading.{kind}); threading.Event().wait(60)"
    done = run(tmp_path, ["--on-deadlock=abort"], body, status=70)
    assert f"\nDeadlock 1: {count} threads\n" in done.stderr
    assert done.stderr.count(" waits for lock " if kind == "Lock" else " waits for RLock ") == count


def test_a_deadlock_of_the_main_thread_and_a_join(tmp_path: Path) -> None:
    body = """
        lock = threading.Lock()
        def other():
            with lock:
                pass
        with lock:
            thread = threading.Thread(target=other, name="other")
            thread.start()
            thread.join()
        """
    done = run(tmp_path, ["--on-deadlock", "abort"], body, status=70)
    assert "\nDeadlock 1: 2 threads\n" in done.stderr
    assert " waits for the end of other " in done.stderr


def test_a_program_that_waits_for_itself_alone(tmp_path: Path) -> None:
    body = "lock = threading.Lock(); lock.acquire(); lock.acquire()"
    done = run(tmp_path, ["--on-deadlock=abort"], body, status=70)
    assert "\nDeadlock 1: 1 thread\n" in done.stderr


def test_a_report_comes_once_and_the_program_goes_on(tmp_path: Path) -> None:
    body = """
        cycle(2)
        while True:
            time.sleep(0.5)
            if os.path.exists("stop"):
                break
            open("stop", "w").close()
        print("over")
        sys.exit(3)
        """
    done = run(tmp_path, ["--on-deadlock=report"], body, status=3)
    assert done.stdout == "over\n"
    assert done.stderr.count("Deadlock 1") == 1


def test_healthy_programs_are_left_alone(tmp_path: Path) -> None:
    body = """
        import queue
        from concurrent.futures import ThreadPoolExecutor
        ping, pong = threading.Lock(), threading.Lock()
        ping.acquire(), pong.acquire()
        def play(mine, other):
            for _ in range(5000):
                mine.acquire()
                other.release()
        players = [threading.Thread(target=play, args=pair)
                   for pair in ((ping, pong), (pong, ping))]
        for player in players:
            player.start()
        ping.release()
        slow, events = threading.Lock(), [threading.Event() for _ in range(100)]
        def hold():
            with slow:
                time.sleep(0.3)
        with ThreadPoolExecutor(120) as executor:
            waits = [executor.submit(event.wait) for event in events]
            holders = [executor.submit(hold) for _ in range(3)]
            for event in events:
                event.set()
        for player in players:
            player.join()
        """
    done = run(tmp_path, ["--on-deadlock=abort"], body)
    assert done.stderr == ""


def test_a_lock_that_new_threads_release_is_no_deadlock(tmp_path: Path) -> None:
    body = """
        import _thread
        for _ in range(20_000):
            lock = _thread.allocate_lock()
            lock.acquire()
            _thread.start_new_thread(lock.release, ())
            lock.acquire()
        """
    assert run(tmp_path, ["--on-deadlock=abort"], body).stderr == ""


def test_long_waits_are_reported_once_each(tmp_path: Path) -> None:
    body = "threading.Event().wait(1)"
    done = run(tmp_path, ["--report-after=0.2"], body)
    assert done.stderr.count("waiting for Event.wait (lock ") == 1
    assert "Deadlock" not in done.stderr
    assert run(tmp_path, ["--report-after=60"], body).stderr == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_the_child_of_a_fork_is_watched(tmp_path: Path) -> None:
    body = """
        pid = os.fork()
        if pid == 0:
            cycle(2)
            time.sleep(60)
        status = os.waitpid(pid, 0)[1]
        sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)
        """
    done = run(tmp_path, ["--on-deadlock=abort"], body, status=70)
    assert done.stderr.count("\nDeadlock 1: 2 threads\n") == 1


@pytest.mark.skipif(not hasattr(os, "kill") or os.name == "nt", reason="sends itself a signal")
@pytest.mark.parametrize(
    ("options", "name"),
    [(["--report-after=60"], "SIGQUIT"), (["--dump-signal=SIGUSR1"], "SIGUSR1")],
)
def test_a_signal_makes_the_program_report(tmp_path: Path, options: list[str], name: str) -> None:
    body = f"""
        import signal
        event = threading.Event()
        def send():
            os.kill(os.getpid(), signal.{name})
            time.sleep(0.2)
            event.set()
        threading.Thread(target=send).start()
        event.wait()
        print("goes on")
        """
    done = run(tmp_path, options, body)
    assert done.stdout == "goes on\n"
    assert done.stderr.startswith("lowthreads: ")
    assert "MainThread" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--on-deadlock=panic"],
        ["--on-deadlock"],
        ["--report-after=-1"],
        ["--report-after", "soon"],
        ["--dump-signal=SIGNONE"],
        ["--on-deadlock=report"],
    ],
)
def test_wrong_options_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", *options])
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize("given", [["--on-deadlock=abort"], ["--", "--report-after", "3"]])
def test_options_after_the_program_are_its_own(tmp_path: Path, given: list[str]) -> None:
    assert run(tmp_path, [], "print(sys.argv[1:])", *given).stdout == f"{given}\n"


def test_signal_names_are_the_platforms() -> None:
    assert hasattr(signal, "SIGBREAK" if os.name == "nt" else "SIGQUIT")

"""Interpreters that end with threads in every state."""

import random
import subprocess
import sys

from common import check, count, report, running

PROGRAM = """
import atexit, random, sys, time
import lowthreads
lowthreads.install()
import threading
chance = random.Random(int(sys.argv[1]))
lock, held, rlock = threading.Lock(), threading.Lock(), threading.RLock()
held.acquire()

def churn():
    while True:
        with lock, rlock:
            pass

def start():
    while True:
        try:
            lowthreads.start_new_thread(int, ())
        except RuntimeError:
            return
        time.sleep(1e-4)

def time_out():
    while True:
        held.acquire(timeout=5e-4)

def spin():
    while True:
        sum(range(100))

ways = [churn, start, time_out, held.acquire, lambda: time.sleep(60), spin]
for _ in range(chance.randrange(1, 9)):
    threading.Thread(target=chance.choice(ways), daemon=True).start()
atexit.register(print, "at exit", flush=True)
atexit.register(lambda: lowthreads.start_new_thread(int, ()))
time.sleep(chance.random() * 0.02)
print("the last line")
sys.exit(chance.randrange(3))
"""


number = random.randrange(1 << 30)
while running():
    number += 1
    status = None
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(number)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        right = done.stdout.split("\n") == ["the last line", "at exit", ""]
        check(right and done.returncode in (0, 1, 2), f"exit {number}: {done}")
    except subprocess.TimeoutExpired:
        check(False, f"exit {number} hangs")
    count(operations=1, exits=1)
report()

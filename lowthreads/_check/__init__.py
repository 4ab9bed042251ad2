"""What `python -m lowthreads` does: the installation checked live, and measured.

- `run` is the order of things, and the exit status.
- `promises` are the sentences of the reference text, each as code; `expect` is how they
  say what they expect, `settings` what they may change and get restored, `watchdog`
  what ends one that hangs.
- `wordcount` is real work on lowthreads' threads and locks.
- `compare` measures lowthreads beside the interpreter's own `_thread`.
- `machine` says where all this ran; `report` and `status` are what a reader sees.

Only `__main__` and the benchmarks import it: `import lowthreads` stays light.
"""

from __future__ import annotations

PARTS = ("promises", "words", "comparison")
"""What a check consists of."""

LIMIT = 20.0
"""Seconds that a promise may take, unless told otherwise."""

"""To be replaced by lowthreads' own."""

from __future__ import annotations

from typing import Any


class DeadlockError(RuntimeError):
    """Stub."""

    def __init__(self, deadlock: Any) -> None:
        super().__init__("a deadlock")

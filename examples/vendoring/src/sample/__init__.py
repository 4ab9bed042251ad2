"""A counter that many threads may use, on a lowthreads of its own."""

from ._vendor import lowthreads


class Counter:
    """Counts."""

    def __init__(self) -> None:
        self.value = 0
        self._lock = lowthreads.allocate_lock()

    def add(self, times: int) -> None:
        """Add one, that often."""
        for _ in range(times):
            with self._lock:
                self.value += 1


def count(threads: int, times: int) -> int:
    """Count in many threads at once, and return the sum."""
    counter = Counter()
    handles = [lowthreads.start_joinable_thread(lambda: counter.add(times)) for _ in range(threads)]
    for handle in handles:
        handle.join()
    return counter.value

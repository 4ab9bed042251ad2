"""slow_lock.py, mended: the lock is held for the cache alone, not for the server.

    python -m lowthreads run --profile examples/slow_lock_mended.py

Two threads that ask for the same name at the same time may both fetch it; the first answer is
kept.
"""

import threading
import time


def fetch(name):
    """Ask a slow server."""
    time.sleep(0.01)
    return len(name)


class Prices:
    def __init__(self):
        self._lock = threading.Lock()
        self._known = {}

    def of(self, name):
        with self._lock:
            if name in self._known:
                return self._known[name]
        price = fetch(name)
        with self._lock:
            return self._known.setdefault(name, price)


def ask(prices, shop):
    for i in range(10):
        prices.of(f"{shop}'s thing {i}")


def main():
    prices = Prices()
    shops = [
        threading.Thread(target=ask, args=(prices, shop), name=shop)
        for shop in ("baker", "butcher", "florist", "grocer")
    ]
    for shop in shops:
        shop.start()
    for shop in shops:
        shop.join()


if __name__ == "__main__":
    main()

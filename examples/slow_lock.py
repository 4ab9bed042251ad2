"""Prices are kept in a cache; four threads ask for them, and mostly wait for each other.

    python -m lowthreads run --profile examples/slow_lock.py

says where: the cache fetches what it doesn't have while it holds its lock.  slow_lock_mended.py
doesn't.
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
            if name not in self._known:
                self._known[name] = fetch(name)
            return self._known[name]


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

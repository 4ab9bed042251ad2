"""Money is moved both ways between two banks.  It works; one day it will hang.

    python -m lowthreads run --lock-order examples/inversion.py

says so at once, though the two threads here run one after the other, and can't deadlock.
"""

import threading


class Bank:
    def __init__(self, name, lock):
        self.name = name
        self.lock = lock
        self.money = 100


def move(giver, taker, money):
    with giver.lock:
        giver.money -= money
        with taker.lock:
            taker.money += money


def main():
    savings = Bank("savings", threading.Lock())
    stocks = Bank("stocks", threading.Lock())
    for name, giver, taker in (("invest", savings, stocks), ("sell", stocks, savings)):
        thread = threading.Thread(target=move, args=(giver, taker, 10), name=name)
        thread.start()
        thread.join()
    print(savings.money, stocks.money)


if __name__ == "__main__":
    main()

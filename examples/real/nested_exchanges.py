"""Each exchange takes threads of a pool that all share, and waits for others of its threads.

https://github.com/xorq-labs/xorq/issues/2243: with as many exchanges within each other as the
pool has threads, all of them wait for tasks that no thread is left to run.
"""

from concurrent.futures import ThreadPoolExecutor

executor = ThreadPoolExecutor(max_workers=3, thread_name_prefix="exchange")


def do_exchange(depth):
    if depth == 0:
        return 0
    return executor.submit(do_exchange, depth - 1).result() + 1


print(do_exchange(4))

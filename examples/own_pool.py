"""A task waits for another one of its own pool, which has no thread left for it."""

from concurrent.futures import ThreadPoolExecutor


def page(number):
    images = [pool.submit(len, f"image {number}.{i}") for i in range(3)]
    return sum(image.result() for image in images)


with ThreadPoolExecutor(max_workers=2, thread_name_prefix="pool") as pool:
    print(list(pool.map(page, range(4))))

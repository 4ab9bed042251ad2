"""A module starts a thread that imports the module, and joins it, while it is imported itself.

https://github.com/python/cpython/issues/125037: the thread waits until the module is imported, and
the module until the thread has ended.
"""

import threading


def use():
    import import_and_join

    print("used")


if __name__ == "__main__":
    import import_and_join
else:
    user = threading.Thread(target=use, name="user")
    user.start()
    user.join()

"""A cached property needs the library's lock, and is read with that lock held.

https://github.com/h5py/h5py/issues/2064: up to Python 3.11, `functools.cached_property` has a lock
of its own, one for all instances, and h5py has one for the whole library.
"""

import functools
import threading

phil = threading.RLock()
in_property = threading.Event()
has_phil = threading.Event()


class Dataset:
    @functools.cached_property
    def extent_type(self):
        in_property.set()
        has_phil.wait()
        with phil:
            return "simple"


def read():
    print(Dataset().extent_type)


def write():
    in_property.wait()
    with phil:
        has_phil.set()
        print(Dataset().extent_type)


threading.Thread(target=read, name="reader").start()
threading.Thread(target=write, name="writer").start()

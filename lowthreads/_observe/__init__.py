"""Locks that tell what happens to them, and what is made of it.

- `locks.py`: the locks, in the place of those of the installed `_thread` while something
  observes them; nothing of this is imported otherwise.
- `observer.py`: whom they tell what.
- `sites.py`: where in the user's code that is.
- `profile.py` (`report.py` shows it), `trace.py` and `lock_order.py`: the observers.
- `options.py`: what `python -m lowthreads run` was asked for.
"""

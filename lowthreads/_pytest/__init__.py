"""The parts of the pytest plugin; only pytest imports them, by way of `lowthreads.pytest`."""

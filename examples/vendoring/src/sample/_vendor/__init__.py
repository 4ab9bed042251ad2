"""What others wrote: lowthreads, by `python -m lowthreads vendor src/sample/_vendor/lowthreads`."""

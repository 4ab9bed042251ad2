"""One line on a terminal that says what is going on; nothing anywhere else."""

from __future__ import annotations

import shutil
import sys


class Status:
    """The line, rewritten in place on stderr."""

    def __init__(self) -> None:
        # Kept: promises put another stderr in place for a while.
        self._stream = sys.stderr
        self._shown = 0
        self._live = self._stream is not None and self._stream.isatty()

    def show(self, text: str) -> None:
        """Show the text in place of the one before."""
        if self._live:
            text = text[: shutil.get_terminal_size().columns - 1]
            self._stream.write("\r" + text.ljust(self._shown))
            self._stream.flush()
            self._shown = len(text)

    def clear(self) -> None:
        """Leave the line empty, for whoever writes next."""
        if self._shown:
            self._stream.write("\r" + " " * self._shown + "\r")
            self._stream.flush()
            self._shown = 0

"""The command: `python -m lowthreads`.

Without a subcommand it is `check`.  Exit status: 0 all is well, 1 it is not, 2 the
command line is wrong, 130 interrupted.  What `--json` prints is documented in
`_check/report.py`.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from . import __version__
from ._check import LIMIT, PARTS

if TYPE_CHECKING:
    from ._observe.options import Options as ObserveOptions
    from ._watchdog import Options

Command = Callable[[argparse.Namespace], int]

_CHECK = """\
Check this installation, live: every promise of the reference text is exercised, a real
piece of work is done on threads and compared with the same without, and lowthreads is
measured beside the interpreter's own _thread.  It takes some ten seconds.
"""

_RUN = """\
Run a Python program as `python` would, in an interpreter that has lowthreads in _thread's
place from its start.  Processes that the program starts by multiprocessing or subprocess
have it, too.  The exit status is the program's.
"""

_VENDOR = """\
Copy lowthreads into another package, with its sources and its licence, or update such a copy.
The folder's name is the copy's: src/sample/_vendor/lowthreads is sample._vendor.lowthreads.
"""

_STATUS = """\
exit status: 0 if all is ok (the comparison plays no part), 1 if not, 130 if interrupted
"""


def _check(given: argparse.Namespace) -> int:
    from ._check.report import JsonReport, TextReport
    from ._check.run import check

    report = JsonReport() if given.json else TextReport()
    return check(report, given.only or PARTS, given.limit)


def _run(given: argparse.Namespace) -> int:
    from ._run import run

    program = given.program
    if program[:1] == ["--"]:  # of _protect_program
        program = program[1:]
    if not program:
        given.parser.error("no program to run")
    run(program, _watch_options(given), _observe_options(given))


def _vendor(given: argparse.Namespace) -> int:
    from ._vendor import Refused, tell, vendor

    try:
        done = vendor(given.folder, __version__, given.force)
    except Refused as reason:
        given.parser.error(str(reason))
    print(tell(given.folder, __version__, done))
    return 0


def _watch_options(given: argparse.Namespace) -> Options | None:
    if given.on_deadlock is given.report_after is given.dump_signal is None:
        return None
    from ._watchdog import Options, default_signal

    return Options(
        given.on_deadlock or "report",
        given.report_after or 0.0,
        given.dump_signal or default_signal(),
    )


def _observe_options(given: argparse.Namespace) -> ObserveOptions | None:
    if given.profile is given.trace is given.lock_order is None:
        return None
    from ._observe.options import Options

    return Options(given.profile, given.trace, given.lock_order)


def _profile_file(path: str) -> str:
    if path and not path.endswith((".json", ".html")):
        raise argparse.ArgumentTypeError(f"{path}: not a .json or .html file")
    return path


def _accepted_file(path: str) -> str:
    from ._observe.accepted import read_accepted

    try:
        read_accepted(path)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{path}: {error}") from None
    return path


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 86400:
        raise argparse.ArgumentTypeError(f"{text}: not a number of seconds up to a day")
    return seconds


def _signal(name: str) -> str:
    if name not in signal.Signals.__members__:
        raise argparse.ArgumentTypeError(f"{name}: not a signal's name")
    return name


def _add_check_options(parser: argparse.ArgumentParser, **common: Any) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document instead of text", **common
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=PARTS,
        help="run this part alone; may be repeated",
        **common,
    )
    parser.add_argument(
        "--limit",
        type=_seconds,
        metavar="SECONDS",
        help=f"the longest time that a promise may take (default: {LIMIT:g})",
        **{"default": LIMIT, **common},
    )


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser; each subcommand sets `command`."""
    prog = f"python -m {__package__}"
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog, description=_CHECK, epilog=_STATUS, formatter_class=layout
    )
    parser.add_argument("--version", action="version", version=f"{__package__} {__version__}")
    parser.set_defaults(command=_check)
    _add_check_options(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    check = commands.add_parser(
        "check",
        help="check this installation; what happens without a command",
        description=_CHECK,
        epilog=_STATUS,
        formatter_class=layout,
    )
    check.set_defaults(command=_check)
    # Suppressed: else they would undo what stands before the command.
    _add_check_options(check, default=argparse.SUPPRESS)

    run = commands.add_parser(
        "run",
        help="run a Python program, unmodified, with threading on lowthreads",
        usage=f"{prog} run [option ...] program.py [argument ...]\n"
        f"       {prog} run [option ...] -m module [argument ...]",
        description=_RUN,
        formatter_class=layout,
    )
    run.set_defaults(command=_run, parser=run)
    run.add_argument(
        "--on-deadlock",
        choices=["ignore", "report", "raise", "abort"],
        help="report a deadlock as soon as it closes; after that, raise a DeadlockError in one of "
        "its threads, or exit with status 70",
    )
    run.add_argument(
        "--report-after",
        type=_seconds,
        metavar="SECONDS",
        help="report waits that last longer than that",
    )
    run.add_argument(
        "--dump-signal",
        type=_signal,
        metavar="NAME",
        help="the signal that makes the program report (default, if one of these is given: "
        "SIGQUIT, which Ctrl-\\ sends; on Windows SIGBREAK, which Ctrl-Break sends)",
    )
    run.add_argument(
        "--profile",
        nargs="?",
        const="",
        type=_profile_file,
        metavar="FILE",
        help="say at the end which locks were waited for, where, and who held them; with "
        "=FILE.json or =FILE.html, there too",
    )
    run.add_argument(
        "--trace",
        metavar="FILE",
        help="write the waits and holds of each thread to a file for Perfetto or speedscope",
    )
    run.add_argument(
        "--lock-order",
        nargs="?",
        const="",
        type=_accepted_file,
        metavar="FILE",
        help="report locks that are taken in different orders, which can deadlock; with =FILE, "
        "but for the pairs in it",
    )
    run.add_argument("program", nargs=argparse.REMAINDER, help="as after `python`")

    vendor = commands.add_parser(
        "vendor",
        help="copy lowthreads into another package, or update the copy",
        description=_VENDOR,
        formatter_class=layout,
    )
    vendor.set_defaults(command=_vendor, parser=vendor)
    vendor.add_argument("folder", type=Path, help="the copy's folder, in its package's")
    vendor.add_argument(
        "--force", action="store_true", help="also if that undoes changes made to the copy"
    )
    return parser


# The options of `run` that take a value, and those that may have one after `=`.
_OF_RUN = ("--on-deadlock", "--report-after", "--dump-signal", "--trace")
_OF_RUN_ALONE = ("--profile", "--lock-order")


def _protect_program(arguments: Sequence[str]) -> list[str]:
    """Keep argparse from taking the options of a program to run for its own."""
    if arguments[:1] != ["run"] or arguments[1:2] in (["-h"], ["--help"]):
        return list(arguments)
    end = 1
    while end < len(arguments) and arguments[end].partition("=")[0] in _OF_RUN + _OF_RUN_ALONE:
        end += 1 if "=" in arguments[end] or arguments[end] in _OF_RUN_ALONE else 2
    return [*arguments[:end], "--", *arguments[end:]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    given = make_parser().parse_args(
        _protect_program(sys.argv[1:] if arguments is None else arguments)
    )
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    command: Command = given.command
    try:
        return command(given)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except OSError as error:
        # The reader has seen enough; Windows' C runtime says EINVAL then.
        if error.errno != errno.EPIPE and (os.name, error.errno) != ("nt", errno.EINVAL):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())

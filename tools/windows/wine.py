"""Wine and a cross-compiler, from Debian, and a Wine prefix for console programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

PACKAGES = ["wine64", "gcc-mingw-w64-x86-64-win32"]
WINE = Path("/usr/lib/wine/wine64")
SERVER = Path("/usr/lib/wine/wineserver64")
GCC = "x86_64-w64-mingw32-gcc-win32"
DLLTOOL = "x86_64-w64-mingw32-dlltool"
OBJDUMP = "x86_64-w64-mingw32-objdump"

# python.exe's manifest asks for this assembly.  Without it Wine reads no further, and tells
# a program that says it knows Windows 10 that it runs on Windows 8.
ASSEMBLY = (
    "amd64_microsoft.windows.common-controls_6595b64144ccf1df_6.0.2600.2982_none_deadbeef.manifest"
)
MANIFEST = """\
<assembly xmlns="urn:schemas-microsoft-com:asm.v1" manifestVersion="1.0">
<assemblyIdentity type="win32" name="Microsoft.Windows.Common-Controls" version="6.0.2600.2982"
 processorArchitecture="amd64" publicKeyToken="6595b64144ccf1df"/>
</assembly>
"""
SYSTEM = r"""WINE REGISTRY Version 2
;; All keys relative to \\Machine

#arch=win64

[System\\CurrentControlSet\\Control\\Session Manager\\Environment]
"ComSpec"="C:\\windows\\system32\\cmd.exe"
"OS"="Windows_NT"
"PATH"="C:\\windows\\system32;C:\\windows"
"PATHEXT"=".com;.exe;.bat;.cmd"
"TEMP"="C:\\temp"
"TMP"="C:\\temp"
"windir"="C:\\windows"

[Software\\Microsoft\\Windows NT\\CurrentVersion\\Time Zones\\UTC]
"Dlt"="UTC"
"Std"="UTC"
"TZI"=hex:{zone}
""".replace("{zone}", ",".join(["00"] * 44))
USER = r"""WINE REGISTRY Version 2
;; All keys relative to \\User\\S-1-5-21-0-0-0-1000

#arch=win64

[Software\\Wine]
"Version"="win10"
"""


def fail(message: str) -> NoReturn:
    raise SystemExit(f"tools/windows: {message}")


def lacking() -> list[str]:
    """Return the programs that are not there."""
    return [str(name) for name in (WINE, SERVER, GCC, DLLTOOL) if shutil.which(name) is None]


def require() -> None:
    """Install Wine and the compiler if they are not there and this is root."""
    if lacking() and os.geteuid() == 0 and shutil.which("apt-get"):
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "-q", "update"], env=env, check=False)
        install = ["apt-get", "-q", "install", "-y", "--no-install-recommends", *PACKAGES]
        subprocess.run(install, env=env, check=True)
    if lacking():
        fail(
            f"there is no {', '.join(lacking())}; on Debian: apt install --no-install-recommends "
            + " ".join(PACKAGES)
        )


def _dlls() -> Path:
    """Return the folder of Wine's own DLLs."""
    for parent in (Path("/usr/lib/x86_64-linux-gnu/wine"), *Path("/usr/lib").glob("*/wine")):
        if (parent / "x86_64-windows" / "ntdll.dll").exists():
            return parent / "x86_64-windows"
    fail("found no x86_64-windows/ntdll.dll of Wine's below /usr/lib")


def make_prefix(prefix: Path) -> None:
    """Make the prefix: the drives, Wine's DLLs as links, and a few registry values.

    That is all that console programs need; wineboot makes 700 MB, and takes half a minute.
    """
    if (prefix / "user.reg").exists():
        return
    shutil.rmtree(prefix, ignore_errors=True)
    windows = prefix / "drive_c" / "windows"
    for folder in (
        prefix / "dosdevices",
        prefix / "drive_c" / "temp",
        prefix / "drive_c" / "users",
        windows / "system32" / "drivers",
        windows / "winsxs" / "manifests",
    ):
        folder.mkdir(parents=True)
    (prefix / "dosdevices" / "c:").symlink_to("../drive_c")
    (prefix / "dosdevices" / "z:").symlink_to("/")
    (prefix / ".update-timestamp").write_text("disable\n")  # or wineboot adds the rest
    for dll in _dlls().iterdir():
        (windows / "system32" / dll.name).symlink_to(dll)
    (windows / "winsxs" / "manifests" / ASSEMBLY).write_text(MANIFEST)
    (prefix / "system.reg").write_text(SYSTEM)
    (prefix / "user.reg").write_text(USER)


def environment(prefix: Path) -> dict[str, str]:
    """Return this process's environment without what would mislead a program under Wine."""
    dropped = ("DISPLAY", "WAYLAND_DISPLAY", "TMPDIR", "LANG", "LC_ALL", "TERM")
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and not name.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV"))
    }
    env.update(WINEPREFIX=str(prefix), WINEDEBUG=os.environ.get("WINEDEBUG", "-all"))
    return env


def _launcher(prefix: Path) -> str:
    source = Path(__file__).with_name("launch.c")
    program = prefix / "launch.exe"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run([GCC, "-O2", str(source), "-o", str(program)], check=True)
    return str(program)


def run(prefix: Path, command: list[str], extra: dict[str, str] | None = None) -> int:
    """Run a Windows program, in the current folder; return its exit status, in 8 bits."""
    env = {**environment(prefix), **(extra or {})}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    quiet["stderr"] = subprocess.DEVNULL
    # The server stays for a minute, so that programs start in 0.1 s, not in 1 s.  What starts
    # it must have no stream of ours: its services would keep it open.
    subprocess.run([SERVER, "-p60"], env=env, check=False, **quiet)
    subprocess.run([WINE, "cmd.exe", "/c", "exit"], env=env, check=False, **quiet)
    # Pipes: Wine can't tell Python what a plain file is, and then Python doesn't start.
    with subprocess.Popen(
        [WINE, _launcher(prefix), *command],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as child:
        assert child.stdout is not None
        for line in iter(child.stdout.readline, b""):
            sys.stdout.buffer.write(line.replace(b"\r\n", b"\n"))
            sys.stdout.flush()
    return child.returncode


def end(prefix: Path) -> None:
    """End everything that runs in the prefix."""
    subprocess.run([SERVER, "-k"], env=environment(prefix), check=False)

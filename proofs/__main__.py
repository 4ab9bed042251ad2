"""Checks the models of the protocols, and explores the code itself: `python proofs [--quick]`.

Each rule of the protocols is then broken in its model (-DBREAK_...), which must be noticed.
docs/proofs.md says what all this shows.  Needs `spin` and gcc.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from explorer.build import build, run  # noqa: E402

QUICK = {"lock.pml": [["-DN=2"], ["-DN=3"]], "handle.pml": [[]]}
FULL = {
    "lock.pml": [["-DN=3", "-DEXPEL"], ["-DN=2", "-DOPERATIONS=3", "-DEXPEL"]],
    "handle.pml": [["-DSTARTERS=3", "-DJOINERS=2"]],
}
PARKERS = ["futex", "pthread"]


def failed(message: str) -> SystemExit:
    return SystemExit(f"proofs: {message}")


def check_model(model: str, flags: list[str]) -> tuple[int, str]:
    """Look at all states of a model; return how many, and what was wrong: "" if nothing."""
    with tempfile.TemporaryDirectory() as folder:
        source = HERE / "models" / model
        run(["spin", "-a", *flags, str(source)], folder)
        run(["gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"], folder)
        command = ["./pan", "-m1000000", "-w20"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    states = re.search(r"(\d+) states, stored", done.stdout)
    errors = re.search(r"errors: (\d+)", done.stdout)
    if not states or not errors or "max search depth too small" in done.stdout:
        raise failed(f"{model}: no result:\n{done.stdout}{done.stderr}")
    wrong = re.search(r"pan:\d+: (.*)", done.stdout)
    return int(states[1]), wrong[1] if wrong else ("" if errors[1] == "0" else done.stdout)


def check_models(configurations: dict[str, list[list[str]]]) -> None:
    for model, all_flags in configurations.items():
        for flags in all_flags:
            start = time.monotonic()
            states, wrong = check_model(model, flags)
            if wrong:
                raise failed(f"{model} {' '.join(flags)}: {wrong}")
            taken = time.monotonic() - start
            print(f"{model} {' '.join(flags)}: {states} states, {taken:.1f} s", flush=True)


def check_rules() -> None:
    """See that a model in which a rule is broken fails."""
    for model, flags in {"lock.pml": ["-DN=3", "-DEXPEL"], "handle.pml": []}.items():
        for rule in sorted(
            set(re.findall(r"BREAK_[A-Z_]+[A-Z]", (HERE / "models" / model).read_text()))
        ):
            _, wrong = check_model(model, [*flags, f"-D{rule}"])
            if not wrong:
                raise failed(f"{model}: nothing notices {rule}")
            print(f"{model} {rule}: {wrong}", flush=True)


def explore(quick: bool) -> None:
    for parker in PARKERS:
        with tempfile.TemporaryDirectory() as folder:
            program = build(Path(folder), parker)
            command = [str(program), "all", "-1" if quick else "0", "120"]
            print(f"the code, over the {parker} parker:", flush=True)
            if subprocess.run(command, check=False).returncode != 0:
                raise failed("the code fails")


def main() -> None:
    parser = argparse.ArgumentParser(description="Check the models, and explore the code.")
    parser.add_argument("--quick", action="store_true", help="seconds, not minutes")
    chosen = parser.parse_args()
    for tool in ("spin", "gcc"):
        if shutil.which(tool) is None:
            raise failed(f"needs {tool}")
    check_models(QUICK)
    explore(chosen.quick)
    if not chosen.quick:
        check_models(FULL)
        check_rules()


if __name__ == "__main__":
    main()

#!/bin/sh
# cffi_for_3.13t.sh PYTHON FOLDER - makes a wheel of cffi for a free-threaded CPython 3.13.
#
# cffi's setup.py declines 3.13t, with which it works all the same.
# Then "PIP_FIND_LINKS=FOLDER nox -s tests-3.13t parallel-3.13t".
set -eu
[ $# -eq 2 ] || { echo "usage: cffi_for_3.13t.sh PYTHON FOLDER" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$2"
wheels=$(cd "$2" && pwd)
"$1" -m venv "$work/venv"
cd "$work"
# By another Python: this one's pip would run that setup.py.
python3 -m pip download -q --no-deps --no-binary cffi "cffi>=2.1"
tar -xf cffi-*.tar.gz
sed -i '/FREE_THREADED_BUILD and sys.version_info/s/(3, 14)/(3, 13)/' cffi-*/setup.py
venv/bin/python -m pip wheel -q --no-deps -w "$wheels" ./cffi-*/
ls "$wheels"

#!/bin/sh
# Finds a Python that the project supports and hands over to install.py. PYTHON=/path/to/python chooses one.
set -eu

supported='import sys; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 15)))'
complete='import ensurepip, venv'
incomplete=''

for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.14 python3.11; do
    # A candidate may be absent, too old, or a version manager's shim that stands for nothing.
    "$candidate" -c "$supported" >/dev/null 2>&1 </dev/null || continue
    if "$candidate" -c "$complete" >/dev/null 2>&1 </dev/null; then
        exec "$candidate" requirements/install.py "$@"
    fi
    incomplete=$candidate
done

if [ -n "$incomplete" ]; then
    version=$("$incomplete" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "error: $incomplete lacks the modules venv and ensurepip, which make a virtual environment." >&2
    echo "       On Debian and Ubuntu: apt-get install python$version-venv" >&2
    exit 2
fi
found=$("${PYTHON:-python3}" --version 2>&1 </dev/null) || found='no python3 on PATH'
echo "error: policy-guard needs Python 3.11, 3.12, 3.13 or 3.14; found: $found." >&2
echo "       Install one of them, or name it: make PYTHON=/path/to/python3.12 ..." >&2
exit 2

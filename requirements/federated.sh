#!/bin/sh
# Makes .venv-federated from requirements/federated.txt, hashes checked, beside .venv and without touching it. Done
# again when the lock has changed. The stamp comes last, so an environment whose making was interrupted is made anew.
set -eu

directory=.venv-federated
stamp=$directory/.lock
if [ -f "$stamp" ] && cmp -s requirements/federated.txt "$stamp" && "$directory/bin/python" -c '' 2>/dev/null; then
    exit 0
fi
echo "Making $directory (some 250 MB, one to three minutes) ..."
rm -rf "$directory"
.venv/bin/python -m venv --prompt policy-guard-federated "$directory"
echo '*' > "$directory/.gitignore"
"$directory/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
    --requirement requirements/federated.txt
# Processes that Flower starts in other directories find this checkout, too.
pwd -P > "$("$directory/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/policy_guard.pth"
cp requirements/federated.txt "$stamp"

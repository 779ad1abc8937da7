#!/bin/sh
# Writes requirements/lock.txt: every dependency for every supported Python and platform, with hashes. Versions that
# still fit stay; arguments (--upgrade) go to uv. uv reads no pip configuration, so what pip is told is passed on.
set -eu

setting() { .venv/bin/python -m pip config get "global.$1" 2>/dev/null || true; }

index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(setting index-url)}}
certificates=${SSL_CERT_FILE:-${PIP_CERT:-$(setting cert)}}
[ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
[ -z "$certificates" ] || export SSL_CERT_FILE="$certificates"

exec .venv/bin/python -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
    --extra all --extra kms --extra timestamps --group dev --generate-hashes --no-emit-index-url --no-emit-find-links \
    --custom-compile-command 'make lock' --output-file requirements/lock.txt "$@"

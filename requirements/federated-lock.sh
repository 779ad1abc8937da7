#!/bin/sh
# Writes requirements/federated.txt: the core and the extra `federated` for every supported Python and platform, with
# hashes. A lock of its own, since flwr holds starlette, typer and rich below the versions of the main one.
set -eu

setting() { .venv/bin/python -m pip config get "global.$1" 2>/dev/null || true; }

index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(setting index-url)}}
certificates=${SSL_CERT_FILE:-${PIP_CERT:-$(setting cert)}}
[ -z "$index" ] || export UV_DEFAULT_INDEX="$index"
[ -z "$certificates" ] || export SSL_CERT_FILE="$certificates"

exec .venv/bin/python -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
    --extra federated --generate-hashes --no-emit-index-url --no-emit-find-links \
    --custom-compile-command 'make lock-federated' --output-file requirements/federated.txt "$@"

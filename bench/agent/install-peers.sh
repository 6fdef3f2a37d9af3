#!/usr/bin/env bash
# Builds SPIRE's server and agent into .venv/bin, for `npm run bench -- agent` to measure beside ours. It takes minutes and
# a Go toolchain, and so is no part of CI: without them the benchmark says so and measures ours alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
version=v1.13.3
bin=$PWD/.venv/bin
if [ -x "$bin/spire-server" ] && [[ $("$bin/spire-agent" --version 2>&1) == "${version#v}"* ]]; then
  exit 0
fi
mkdir -p "$bin"
# A module of its own that has the two as its tools: `go install` of a program at a version wants a list of versions, too.
module=$(mktemp -d)
trap 'rm -rf "$module"' EXIT
cd "$module"
go mod init bench.peers
go get -tool "github.com/spiffe/spire/cmd/spire-server@$version" "github.com/spiffe/spire/cmd/spire-agent@$version"
# `sqlite_json` as SPIRE's own Makefile has it; no symbols, which nobody reads here.
GOBIN=$bin nice go install -trimpath -tags sqlite_json -ldflags '-s -w' tool

#!/usr/bin/env bash
# Tests packages with another toolchain than the one at hand, and fails on low coverage.
#
#	newest.sh TOOLCHAIN ARGUMENT...
#
# The arguments are go test's.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

export GOTOOLCHAIN=$1
shift
if ! go version; then
	exec "$here/left-out.sh" "tests with $GOTOOLCHAIN" "the toolchain cannot be had"
fi
# What the tests need is compiled first: those that build programs of others, and have a time to end in, do not wait for it.
# Without coverage, which go list cannot add to test programs (Go 1.27).
packages=()
for one; do
	[[ $one == -* ]] || packages+=("$one")
done
go list -test -export "${packages[@]}" >/dev/null
go test -cover "$@" | "$here/cover.sh"

#!/usr/bin/env bash
# Vets and tests each module that is not in the root's workspace: examples, benchmarks, and tests of whole programs. They
# have workspaces of their own, so that what they require never decides the versions that the service is built with. Their
# tests build and run programs, of which the test cache knows nothing.
#
#	nested.sh [-long]
#
# With -long only those whose tests know -long, with it, one after the other. Without it those with tests run side by side,
# because most of the time they wait for what programs show.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

check() { # DIRECTORY
	echo "$1"
	(cd "$1" && go vet ./... && go test -count=1 ./...)
}

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

status=0
waiting=()
for dir in bench/ tests/*/ tests/*/*/ examples/*/; do
	if [ ! -f "$dir/go.mod" ]; then continue; fi
	if [ "${1:-}" = -long ]; then
		if ! grep -q 'flag.Bool."long"' "$dir"*_test.go /dev/null; then continue; fi
		echo "$dir -long"
		(cd "$dir" && go test -count=1 -timeout=60m . -long) || status=1
	elif compgen -G "$dir*_test.go" >/dev/null; then
		check "$dir" >"$logs/${dir//\//_}" 2>&1 &
		waiting+=("$!:$logs/${dir//\//_}")
	else
		check "$dir" || status=1
	fi
done
for one in "${waiting[@]}"; do
	wait "${one%%:*}" || status=1
	cat "${one#*:}"
done
exit "$status"

#!/usr/bin/env bash
# Vets and tests each module that is not in the root's workspace: examples, benchmarks, and tests of whole programs. They
# have workspaces of their own, so that what they require never decides the versions that the service is built with. Their
# tests build and run programs, of which the test cache knows nothing.
#
#	nested.sh [-long]
#
# With -long only those whose tests know -long, with it.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

status=0
for dir in examples/*/ bench/ tests/*/ tests/*/*/; do
	if [ ! -f "$dir/go.mod" ]; then continue; fi
	if [ "${1:-}" = -long ]; then
		if ! grep -q 'flag.Bool."long"' "$dir"*_test.go /dev/null; then continue; fi
		echo "$dir -long"
		(cd "$dir" && go test -count=1 -timeout=60m . -long) || status=1
		continue
	fi
	echo "$dir"
	(cd "$dir" && go vet ./... && go test -count=1 ./...) || status=1
done
exit "$status"

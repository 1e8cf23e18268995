#!/usr/bin/env bash
# Vets and tests each module that is not in the root's workspace: examples and benchmarks. They have workspaces of their
# own, so that what they require never decides the versions that the service is built with. Their tests build and run
# programs, of which the test cache knows nothing.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

status=0
for dir in examples/*/ bench/; do
	if [ ! -f "$dir/go.mod" ]; then continue; fi
	echo "$dir"
	(cd "$dir" && go vet ./... && go test -count=1 ./...) || status=1
done
exit "$status"

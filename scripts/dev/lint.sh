#!/usr/bin/env bash
# Runs golangci-lint and staticcheck, in the versions that tools/go.mod pins, over every module. The first run builds
# them, which takes minutes.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD

(cd tools && GOWORK=off GOBIN="$root/bin/tools" go install tool)
status=0
for file in go.mod server/go.mod contrib/*/go.mod examples/*/go.mod tests/*/go.mod tests/*/*/go.mod bench/go.mod; do
	if [ ! -f "$file" ]; then continue; fi
	dir=$(dirname "$file")
	echo "lint $dir"
	(cd "$dir" && "$root/bin/tools/golangci-lint" run --config "$root/.golangci.yml" ./...) || status=1
	(cd "$dir" && "$root/bin/tools/staticcheck" ./...) || status=1
done
exit "$status"

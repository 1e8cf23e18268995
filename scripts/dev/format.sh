#!/usr/bin/env bash
# Runs gofmt over the Go files that are tracked or would be.
#
#	format.sh -l | -w
#
# -l lists those that are not formatted and fails if there are any; -w formats them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

listed=$(git ls-files -z --cached --others --exclude-standard '*.go' |
	while IFS= read -r -d '' file; do if [ -f "$file" ]; then printf '%s\0' "$file"; fi; done |
	xargs -0 gofmt -l)
case "$1" in
-l)
	if [ -n "$listed" ]; then
		printf 'not formatted (make format does it):\n%s\n' "$listed"
		exit 1
	fi
	;;
-w)
	if [ -n "$listed" ]; then
		printf '%s\n' "$listed" | tee /dev/stderr | tr '\n' '\0' | xargs -0 gofmt -w
	fi
	;;
*)
	echo "usage: format.sh -l | -w" >&2
	exit 2
	;;
esac

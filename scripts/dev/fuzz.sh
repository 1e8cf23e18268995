#!/usr/bin/env bash
# Runs each fuzz target for some time.
#
#	fuzz.sh TIME
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

git grep --untracked -EHo '^func Fuzz[A-Za-z0-9_]*' -- '*_test.go' | while IFS=: read -r file declaration; do
	target=${declaration#func }
	dir=$(dirname "$file")
	echo "$dir $target"
	(cd "$dir" && go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" . </dev/null)
done

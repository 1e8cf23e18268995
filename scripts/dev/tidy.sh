#!/usr/bin/env bash
# Tidies every module.
#
#	tidy.sh [-diff]
#
# go mod tidy does not read go.work, and a module that is not published cannot be fetched: a copy of each go.mod gets
# replace lines for the other modules, is tidied, and loses the lines again. A requirement without a version, which tidy
# writes for a module that was only replaced, goes too: go.work stands in for it, and even there it would be fetched.
#
# With -diff it only shows what would change, and fails if anything would.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD
export GOWORK=off

# no_version is what tidy writes where it knows only a directory.
no_version=v0.0.0-00010101000000-000000000000

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

dirs=()
paths=()
while IFS= read -r file; do
	dir=$(dirname "$file")
	dirs+=("$dir")
	paths+=("$(cd "$dir" && go list -m)")
done < <(git ls-files --cached --others --exclude-standard go.mod '*/go.mod')

status=0
for i in "${!dirs[@]}"; do
	dir=${dirs[i]}
	echo "${paths[i]}"
	replace=()
	drop=()
	for j in "${!dirs[@]}"; do
		if [ "$i" -ne "$j" ]; then
			replace+=("-replace=${paths[j]}=$root/${dirs[j]}")
			drop+=("-dropreplace=${paths[j]}")
		fi
	done
	cp "$dir/go.mod" "$work/tidy.mod"
	cp "$dir/go.sum" "$work/tidy.sum" 2>/dev/null || : >"$work/tidy.sum"
	go mod edit "${replace[@]}" "$work/tidy.mod"
	(cd "$dir" && go mod tidy -modfile="$work/tidy.mod")
	for path in "${paths[@]}"; do
		if grep -qE "[[:space:]]$path $no_version( |\$)" "$work/tidy.mod"; then drop+=("-droprequire=$path"); fi
	done
	go mod edit "${drop[@]}" "$work/tidy.mod"
	for kind in mod sum; do
		if [ ! -s "$work/tidy.$kind" ]; then
			continue
		elif [ "${1:-}" != -diff ]; then
			cat "$work/tidy.$kind" >"$dir/go.$kind"
		else
			diff -u "$dir/go.$kind" "$work/tidy.$kind" || status=1
		fi
	done
done
exit "$status"

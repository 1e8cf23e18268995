#!/usr/bin/env bash
# Runs make targets one after another and ends with one line that tells: "test: 9 passed, 0 failed".
#
#	steps.sh TARGET...
#
# The first prepares the ground: if it fails, the others are not run. After that all are run, whichever fail.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

passed=0
failed=0
report=""
for target in "$@"; do
	printf '\n==> make %s\n' "$target"
	began=$SECONDS
	if "${MAKE:-make}" --no-print-directory "$target"; then
		result=passed
		passed=$((passed + 1))
	else
		result=FAILED
		failed=$((failed + 1))
	fi
	report+=$(printf '  %-16s %s  %4d s' "$target" "$result" $((SECONDS - began)))$'\n'
	if [ "$target" = "$1" ] && [ "$failed" -gt 0 ]; then
		break
	fi
done

printf '\n%s  %d s in all\n' "$report" "$SECONDS"
printf 'test: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]

#!/usr/bin/env bash
# Checks and tests the browser packages: generated types, lint, types, what is published and its size, unit tests with React
# 18 and 19, whether what would be published installs and builds with either, and in a real browser leaks and what reaches the
# service, which is built for it.
#
#	web.sh [-long | -bench]
#
# With -long leaks are looked for in every kind of page, not in two, the test kit is tested in full, the example is run as a
# stranger would from a fresh copy, it finds its leak with the packages installed from what would be published too, and these
# are used for half an hour (USE_MINUTES) and in an application of others. With -bench nothing is tested, but measured. What
# package-lock.json says is installed first, unless it is there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../../web"

if ! node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' 2>/dev/null; then
	found=$(node --version 2>/dev/null || echo none)
	exec "$here/left-out.sh" "the tests of the browser packages" "they need Node.js 20.19 or later, and there is $found: install a later nodejs (Debian has one from release 13 on)"
fi
if ! command -v npm >/dev/null; then
	exec "$here/left-out.sh" "the tests of the browser packages" "there is no npm (Debian: npm)"
fi

# npm notes what it installed; it is stale where the list of packages is not the one it was made from.
stamp=node_modules/.installed
if ! cmp -s package-lock.json "$stamp"; then
	npm ci --no-audit --no-fund
	cp package-lock.json "$stamp"
fi

if [ "${1:-}" = -bench ]; then
	exec npm run -s bench
fi

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

status=0
waiting=()
beside() { # NAME COMMAND...: runs beside what follows
	"${@:2}" >"$logs/$1" 2>&1 &
	waiting+=("$!:$1")
}
beside generated npm run -s check-generated
beside lint npm run -s lint
beside types npm run -s types
if command -v chromium >/dev/null || [ -n "${CHROMIUM:-}" ]; then
	beside packages bash -c 'npm run -s packages && LEAKS=few BUILT=1 npm run -s installed'
else
	beside packages npm run -s packages
fi

npm run -s unit || status=1
# Pages are looked at with nothing beside them: some of what they are asked is how long things take.
for one in "${waiting[@]}"; do
	if ! wait "${one%%:*}"; then
		status=1
		echo "web: ${one#*:} failed:"
		cat "$logs/${one#*:}"
	fi
done
if command -v chromium >/dev/null || [ -n "${CHROMIUM:-}" ]; then
	LEAKS=$([ "${1:-}" = -long ] && echo all || echo few) npm run -s browser || status=1
	if [ "${1:-}" = -long ]; then npm run -s long || status=1; fi
else
	"$here/left-out.sh" "the tests in a real browser" "there is no Chromium (Debian: chromium)" || status=1
fi
exit "$status"

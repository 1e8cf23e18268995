#!/usr/bin/env bash
# Parses the PowerShell scripts and holds their commands against a list. There is no PowerShell here to run them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../../tools/pwsh"

if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
	exec "$here/left-out.sh" "the check of the PowerShell scripts" "there is no node or no npm"
fi
# The copy of the lock says what was installed last.
if ! cmp -s package-lock.json node_modules/.installed-lock.json; then
	npm ci
	cp package-lock.json node_modules/.installed-lock.json
fi
node --test check.test.mjs
node check.mjs ../../scripts/*.ps1

#!/usr/bin/env bash
# Checks every file that begins with a shell's #! line.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."

if ! command -v shellcheck >/dev/null; then
	exec "$here/left-out.sh" "the check of the shell scripts" "there is no shellcheck"
fi
scripts=()
while IFS= read -r -d '' file; do
	if [ -f "$file" ] && IFS= read -r first 2>/dev/null <"$file" && [[ $first =~ ^#!.*[/\ ](ba|da)?sh ]]; then
		scripts+=("$file")
	fi
done < <(git ls-files -z --cached --others --exclude-standard)
shellcheck "${scripts[@]}"
echo "shellcheck: ${#scripts[@]} scripts"

#!/usr/bin/env bash
# Installs what the tests need: as root with apt-get, what is missing; elsewhere it says what will be left out.
# With CI=true it fails where something stays missing.
#
#	prerequisites.sh TOOLCHAIN
#
# TOOLCHAIN is the newest release of Go, such as go1.27.2, which the go command fetches by itself.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
toolchain=$1

# The Debian package, the program that shows it to be there, and what the tests do with it.
needs() {
	cat <<-'END'
		gcc cc the race detector
		postgresql initdb tests with a PostgreSQL server
		redis-server redis-server tests with a Redis server
		curl curl the commands of the guides
		shellcheck shellcheck the check of the shell scripts
		chromium chromium the tests of the browser packages in a real browser
		nodejs node the tests of the browser packages (Node.js 20.19 or later), the check of the PowerShell scripts
		npm npm the tests of the browser packages, the check of the PowerShell scripts
	END
}

# have PROGRAM: Debian keeps PostgreSQL's programs off PATH.
have() {
	command -v "$1" >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null
}

missing=()
while read -r package program _; do
	have "$program" || missing+=("$package")
done < <(needs)

if [ "${#missing[@]}" -gt 0 ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
	echo "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	case " ${missing[*]} " in *" gcc "*) missing+=(libc6-dev) ;; esac
	apt-get update -qq || echo "apt-get update failed" >&2
	apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || echo "apt-get install failed" >&2
fi

status=0
while read -r package program purpose; do
	have "$program" || "$here/left-out.sh" "$purpose" "there is no $program (Debian: $package)" || status=1
done < <(needs)
GOTOOLCHAIN=$toolchain go version || "$here/left-out.sh" "tests with $toolchain" "the toolchain cannot be had" || status=1
exit "$status"

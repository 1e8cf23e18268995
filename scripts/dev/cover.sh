#!/usr/bin/env bash
# Passes the output of "go test -cover" on and fails where a package is covered less than 85 %.
#
#	go test -cover ./... | cover.sh
#
# coverage-exceptions.txt lists the packages that may have less, one a line: directory, percentage, reason. A line fails
# when its package is gone or has the 85 %.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

exceptions=$here/coverage-exceptions.txt
awk -v least=85 -v module="$(cd "$here/../.." && GOWORK=off go list -m)" -v exceptions="$exceptions" '
	FILENAME == exceptions {
		if (NF == 0 || /^#/) next
		allowed[$1] = $2
		reason[$1] = $0
		if (NF < 3) problem($1 " has no reason in coverage-exceptions.txt")
		next
	}
	{ print; fflush() }
	match($0, /coverage: [0-9.]+% of statements/) {
		split(substr($0, RSTART), word, /[ %]/)
		percent = word[2]
		package = $1 == "ok" ? $2 : $1
		sub("^" module "/?", "", package)
		if (package == "") package = "."
		seen[package] = 1
		if (package in allowed && percent >= least)
			problem(package " is covered " percent " %: it needs no line in coverage-exceptions.txt")
		else if (package in allowed && percent < allowed[package])
			problem(package " is covered " percent " %, want " allowed[package] " % (coverage-exceptions.txt)")
		else if (!(package in allowed) && percent < least)
			problem(package " is covered " percent " %, want " least " %")
	}
	END {
		for (package in allowed)
			if (!(package in seen)) problem(package " is in coverage-exceptions.txt and was not tested")
		if (length(problems) > 0) {
			printf "\ncoverage:\n%s", problems
			exit 1
		}
		print "coverage: every package has at least " least " %, but for those in coverage-exceptions.txt"
	}
	function problem(text) { problems = problems "  " text "\n" }
' "$exceptions" -

#!/usr/bin/env bash
# Starts the service in production. Everything but the build is done by `memwarden start`, which takes this process's place:
# signals reach it, and its exit code is the script's. Bash 3.2, which macOS has, will do.
set -euo pipefail

usage() {
	cat <<'END'
usage: start-production-memory-optimized.sh production [--env-file FILE] [--dry-run] [--help]

Builds bin/memwarden if it is not there, reads the environment file and checks it,
works out GOMEMLIMIT and the sizes of pools from the container and the machine,
brings the database's schema up to date, starts the service, waits until it is
ready, passes signals on to it, and ends with its exit code. What the service says
is on the standard output and in logs/application.log, which is bounded in size.

  --env-file FILE  settings, in place of .env.production at the root of the repository;
                   nothing in it is evaluated
  --dry-run        print what would be done and every value as NAME=value, secrets
                   masked; builds if needed, connects to nothing, changes nothing else
  --help           this text

Further flags are those of memwarden start: bin/memwarden start --help.
Exit codes: the service's (0 a clean shutdown, 1 it could not start or failed on the
way down, 3 the shutdown was forced), 2 wrong command line or configuration, 1 the
address is in use or the migration failed.
END
}

for argument in "$@"; do
	case $argument in
	-h | --help)
		usage
		exit 0
		;;
	esac
done
if [ "${1:-}" != production ]; then
	usage >&2
	exit 2
fi
shift

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
if [ ! -x "$root/bin/memwarden" ]; then
	echo "building $root/bin/memwarden" >&2
	make -C "$root" build >&2
fi
exec "$root/bin/memwarden" start --dir "$root" "$@"

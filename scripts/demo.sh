#!/usr/bin/env bash
# The first of the two commands: installs packages, builds, and runs the main job on real input, with kills in the middle.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/say.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'USAGE'
usage: scripts/demo.sh [--no-install] [--rounds N] [--texts FOLDER] [--grpc] [--keep]

Installs the packages Baton needs, builds it, starts a broker in a temporary directory and counts the words of every
line under /usr/share/common-licenses: 3 producer processes, 4 consumer processes, one of them killed, the broker killed
with kill -9 twice. Ends with a report, and with exit code 0 only if everything in it holds.

  --no-install     the packages are there, do not look
  --rounds N       how often every line is published to each queue, default 10
  --texts FOLDER   other texts
  --grpc           clients use gRPC, not rings in shared memory
  --keep           keep the data directory and the logs
USAGE
}

install=yes
arguments=()
while (($#)); do
  case "$1" in
    --no-install) install=no ;;
    --rounds | --texts) arguments+=("$1" "${2:?$1 needs a value}"); shift ;;
    --grpc | --keep) arguments+=("$1") ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; die "unknown option: $1" ;;
  esac
  shift
done

if [[ $install == yes ]]; then scripts/install_deps.sh; fi
scripts/build.sh batond baton wordcount_producer wordcount_consumer
say "running the demo"
exec python3 -B examples/wordcount_demo.py --bin build/bin "${arguments[@]}" </dev/null

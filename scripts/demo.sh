#!/usr/bin/env bash
# The first of the two commands: installs packages, builds, and runs the main job on real input, with kills in the middle.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/say.sh"
called_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'USAGE'
usage: scripts/demo.sh [--no-install] [--rounds N] [--texts FOLDER] [--grpc] [--keep]

Installs the packages Baton needs, builds it, starts a broker in a temporary directory and counts the words of every
line under /usr/share/common-licenses: 3 producer processes, 4 consumer processes, one of them killed, the broker killed
with kill -9 twice. Ends with a report, and with exit code 0 only if everything in it holds; 2 when an option is wrong.

  --no-install     the packages are there, do not look
  --rounds N       how often every line is published to each queue, 1 to 1000; default 10
  --texts FOLDER   other texts: the regular files of this folder
  --grpc           clients use gRPC, not rings in shared memory
  --keep           keep the data directory and the logs
USAGE
}

wrong() {
  printf '%serror: %s%s\n' "$say_red" "$*" "$say_off" >&2
  exit 2
}

install=yes
arguments=(--bin build/bin)
while (($#)); do
  case "$1" in
    --no-install) install=no ;;
    --rounds | --texts)
      [[ -n ${2:-} ]] || wrong "$1 needs a value (scripts/demo.sh --help)"
      value=$2
      if [[ $1 == --texts && $value != /* ]]; then value=$called_from/$value; fi
      arguments+=("$1=$value")
      shift
      ;;
    --grpc | --keep) arguments+=("$1") ;;
    -h | --help) usage; exit 0 ;;
    *) wrong "unknown option: $1 (scripts/demo.sh --help)" ;;
  esac
  shift
done

demo=(python3 -B examples/wordcount_demo.py "${arguments[@]}")

# What is wrong with the options is said before minutes are spent on a build.
if command -v python3 >/dev/null; then "${demo[@]}" --check; fi
if [[ $install == yes ]]; then scripts/install_deps.sh; fi
scripts/build.sh batond baton wordcount_producer wordcount_consumer
say "running the demo"
exec "${demo[@]}" </dev/null

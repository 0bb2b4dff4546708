#!/usr/bin/env bash
# The second of the two commands: installs packages, builds, runs every test except soak.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/say.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'USAGE'
usage: scripts/test.sh [--preset dev|release|asan|tsan] [--label LABEL] [--no-install] [-- CTEST ARGUMENTS]

Installs the packages Baton needs, builds it, and runs its tests. Exit code 0 only if all of them pass.

  --preset NAME    default dev; asan and tsan build with sanitizers
  --label LABEL    only unit, component, crash, stress, package or soak; default: all but soak
  --no-install     the packages are there, do not look
USAGE
}

preset=dev
label=''
install=yes
while (($#)); do
  case "$1" in
    --preset) preset=${2:?--preset needs a name}; shift ;;
    --label) label=${2:?--label needs a name}; shift ;;
    --no-install) install=no ;;
    -h | --help) usage; exit 0 ;;
    --) shift; break ;;
    *) usage >&2; die "unknown option: $1" ;;
  esac
  shift
done

if [[ $install == yes ]]; then scripts/install_deps.sh; fi
scripts/build.sh --preset "$preset"

# The preset leaves soak out; asking for a label by name decides alone.
selection=()
if [[ -n $label ]]; then selection=(-LE '^$' -L "^$label\$"); fi

say "testing preset $preset${label:+, label $label}"
exec ctest --preset "$preset" "${selection[@]}" "$@" </dev/null

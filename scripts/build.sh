#!/usr/bin/env bash
# Configures a preset and builds it. Packages must be installed (scripts/install_deps.sh).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/say.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'USAGE'
usage: scripts/build.sh [--preset dev|release|files|asan|tsan] [TARGET...]

Builds everything, or the targets named. Binaries land in build/bin (build-release/bin, ... for the other presets).

  --preset NAME   default dev; CMakePresets.json says what each is
  -j N            compile jobs, default: one per core, fewer when memory is short (about 1 GiB each)
USAGE
}

preset=dev
jobs=''
targets=()
while (($#)); do
  case "$1" in
    --preset) preset=${2:?--preset needs a name}; shift ;;
    -j) jobs=${2:?-j needs a number}; shift ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; die "unknown option: $1" ;;
    *) targets+=("$1") ;;
  esac
  shift
done

if [[ -z $jobs ]]; then
  cores=$(nproc)
  fits=$(awk '/^MemAvailable:/ {print int($2 / 1048576)}' /proc/meminfo)
  jobs=$((fits < 1 ? 1 : fits < cores ? fits : cores))
fi

say "configuring preset $preset"
configure_log=$(mktemp)
trap 'rm -f "$configure_log"' EXIT
cmake --preset "$preset" >"$configure_log" 2>&1 || { cat "$configure_log" >&2; die "configuring failed"; }

say "building with $jobs jobs"
# NINJA_STATUS: done/all and seconds, so that a log without a terminal shows progress too.
NINJA_STATUS='[%f/%t %es] ' cmake --build --preset "$preset" --parallel "$jobs" ${targets[@]:+--target "${targets[@]}"}
say "built"

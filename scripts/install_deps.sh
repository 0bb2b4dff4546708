#!/usr/bin/env bash
# Installs the Debian 12 packages that Baton is built and tested with. Does nothing when all of them are there.
# Needs root, or sudo.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/say.sh"

usage() {
  cat <<'USAGE'
usage: scripts/install_deps.sh [--dev] [--list] [--help]

Installs what Baton needs from Debian 12 packages. Safe to run again: without anything missing it changes nothing.

  --dev    also clang, clang-format and clang-tidy
  --list   print the packages, one per line, and stop
USAGE
}

packages=(
  build-essential cmake ninja-build ccache pkg-config git ca-certificates
  libabsl-dev libboost1.81-dev libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  librocksdb-dev libssl-dev libspdlog-dev libcli11-dev libtomlplusplus-dev nlohmann-json3-dev prometheus-cpp-dev
  libgtest-dev libgmock-dev libbenchmark-dev
  python3 python3-protobuf procps
)
dev_packages=(clang clang-format clang-tidy)

list_only=no
while (($#)); do
  case "$1" in
    --dev) packages+=("${dev_packages[@]}") ;;
    --list) list_only=yes ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; die "unknown option: $1" ;;
  esac
  shift
done
if [[ $list_only == yes ]]; then
  printf '%s\n' "${packages[@]}"
  exit 0
fi

command -v dpkg-query >/dev/null || die "this is not a Debian system; Baton is built and tested on Debian 12"

is_installed() { [[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]; }

missing=()
for package in "${packages[@]}"; do
  is_installed "$package" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  say "all ${#packages[@]} packages are installed"
  exit 0
fi

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || die "missing packages: ${missing[*]}
run this as root, or install sudo"
  as_root=(sudo)
fi
apt_get() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a \
    apt-get -q -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

say "installing ${#missing[@]} of ${#packages[@]} packages: ${missing[*]}"
apt_get update || die "apt-get update failed: check the network and /etc/apt/sources.list"
apt_get install -y --no-install-recommends "${missing[@]}" ||
  die "apt-get install failed; Baton needs the packages of Debian 12 (this is $(. /etc/os-release && echo "$PRETTY_NAME"))"

for package in "${missing[@]}"; do
  is_installed "$package" || die "$package is still missing after apt-get install"
done
say "all ${#packages[@]} packages are installed"

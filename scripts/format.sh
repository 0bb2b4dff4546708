#!/usr/bin/env bash
# Formats every C++ file of the tree with clang-format; --check only says which ones are not formatted.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib/say.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v clang-format >/dev/null || die "clang-format is missing: scripts/install_deps.sh --dev"
mode=(-i)
case "${1:-}" in
  '') ;;
  --check) mode=(--dry-run -Werror) ;;
  *) die "usage: scripts/format.sh [--check]" ;;
esac
find base proto storage server client tests bench examples -name '*.h' -print0 -o -name '*.cc' -print0 2>/dev/null |
  xargs -0 -r -n 16 -P "$(nproc)" clang-format "${mode[@]}"

#!/usr/bin/env bash
# Checks that clang-format 14 would change nothing: other versions format differently. Without it
# the check is skipped, except with --required. `scripts/check_format.sh --fix` rewrites instead.
set -euo pipefail
cd "$(dirname "$0")/.."

formatter=$(command -v clang-format-14 || true)
if [ -z "$formatter" ]; then
  echo "check_format: clang-format-14 is not installed" >&2
  [ "${1:-}" != --required ]
  exit
fi
mode=(--dry-run --Werror)
[ "${1:-}" != --fix ] || mode=(-i)
find framework layers data diffusion experiments bench tests \
  \( -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' \) -print0 |
  xargs -0 -n 50 "$formatter" "${mode[@]}"

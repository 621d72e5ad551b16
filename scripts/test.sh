#!/usr/bin/env bash
# Installs what is missing, builds everything and runs all tests; the summary comes last.
#
#   scripts/test.sh [options of ctest]      # e.g. -R diffusion_tests
#
# PRESET=asan scripts/test.sh takes another preset of CMakePresets.json.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${PRESET:-release}
scripts/bootstrap.sh
cmake --preset "$preset"
cmake --build --preset "$preset"
ctest --preset "$preset" "$@"

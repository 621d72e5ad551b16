#!/usr/bin/env bash
# From a fresh clone to a finished ablation: installs what is missing, builds the program, trains
# every variant of a small study on the data set inside it, and says where the results are.
#
#   scripts/quickstart.sh [options of ddpm ablate]      # e.g. --seeds 0-4
set -euo pipefail
cd "$(dirname "$0")/.."

study=experiments/studies/table2_digits.json
out=runs/table2

scripts/bootstrap.sh
cmake --preset program
cmake --build --preset program
build/release/bin/ddpm ablate "$study" --out "$out" "$@"

cat << END

The study $study is done. Look at
  $out/report.html                        tables and figures, one file
  $out/results.jsonl                      one line per run
  $out/runs/*/checkpoints/step_*.h5       weights and optimiser (HDF5, opens in h5py)
  $out/runs/*/samples/*.png               sample grids
Next: build/release/bin/ddpm --help
END

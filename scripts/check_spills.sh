#!/usr/bin/env bash
# Checks that the kernels whose speed hangs on registers keep everything in them: no spills and no
# local memory on any architecture the build targets. Compiles only, so no GPU is needed; without
# nvcc the check is skipped, except with --required.
set -euo pipefail
cd "$(dirname "$0")/.."

sources=(
  framework/cuda/conv2d_implicit_gemm.cu
  framework/cuda/conv2d_mma.cu
  framework/cuda/conv2d_wgmma.cu
  framework/ops/attention.cu
  framework/ops/group_norm.cu
)
architectures=(sm_75 sm_80 sm_90a)

nvcc=$(command -v nvcc || true)
for home in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda; do
  [ -n "$nvcc" ] || [ ! -x "$home/bin/nvcc" ] || nvcc=$home/bin/nvcc
done
if [ -z "$nvcc" ]; then
  echo "check_spills: nvcc is not installed" >&2
  [ "${1:-}" != --required ]
  exit
fi

status=0
for source in "${sources[@]}"; do
  for architecture in "${architectures[@]}"; do
    report=$("$nvcc" -std=c++20 -O3 --expt-relaxed-constexpr -DDDPM_WITH_CUDA -DFMT_USE_CONSTEXPR=1 \
      -I. -arch="$architecture" -Xptxas -v -cubin -o /dev/null "$source" 2>&1) || {
      echo "$report" >&2
      exit 1
    }
    # ptxas names a kernel in one line and tells its stack and spills in the next.
    kernels=$(grep -c 'bytes stack frame' <<<"$report" || true)
    spilling=$(grep -B 1 'bytes stack frame' <<<"$report" | grep -v '^--' | paste - - |
      grep -v '0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads' || true)
    echo "check_spills: $source, $architecture: $kernels kernels, most registers" \
      "$(grep -o 'Used [0-9]* registers' <<<"$report" | sort -k2 -n | tail -n 1 | cut -d' ' -f2)"
    if [ "$kernels" = 0 ] || [ -n "$spilling" ]; then
      echo "${spilling:-no kernel was found}" >&2
      status=1
    fi
  done
done
exit $status

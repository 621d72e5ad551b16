#!/usr/bin/env bash
# Everything that only a machine with an NVIDIA card can tell, in one command of at most nine
# minutes and without a network: tests, sanitizers, training beside the CPU's, all benchmarks, and
# the same work in PyTorch. JSON goes to OUT; OUT/summary.json says what held.
#
#   scripts/gpu_check.sh [--dry-run] OUT
#
#   DDPM_BUILD=DIR     programs that exist, in DIR/bin; otherwise they are built here (preset cuda)
#   PYTHON=python3     an interpreter with torch, for the comparison
#   DDPM_SECONDS=525   for all parts together; one that finds no time left is not run
#
# Exit status: 0 if every required part passed and every figure reached its threshold, 1 if not, 2
# without a card. A part that fails or runs out of time does not stop the others.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

dry_run=false
if [ "${1:-}" = --dry-run ]; then
  dry_run=true
  shift
fi
if [ $# != 1 ] || [[ $1 == -* ]]; then
  sed -n '2,15s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
mkdir -p "$1/logs" || exit 2
out=$(cd "$1" && pwd)
python=${PYTHON:-python3}
build=${DDPM_BUILD:-build/cuda}
bin=$build/bin
deadline=$((SECONDS + ${DDPM_SECONDS:-525}))
if ! $dry_run; then # figures of an earlier run must not be taken for this one's
  rm -f "$out"/*.json
  : > "$out/parts.jsonl"
fi

if ! $dry_run && ! nvidia-smi -L > "$out/logs/card.log" 2>&1; then
  echo "gpu_check: this machine has no usable NVIDIA card (nvidia-smi -L)" >&2
  exit 2
fi

# Writes a line of parts.jsonl.
record() { # name importance status seconds
  printf '{"part": "%s", "importance": "%s", "status": "%s", "seconds": %d}\n' "$@" \
    >> "$out/parts.jsonl"
  printf 'gpu_check: %-22s %-10s %4d s\n' "$1" "$3" "$4"
}

# Runs a command within a limit of seconds. `required` parts must pass; `optional` ones may run out
# of time or be impossible here, but if they finish they must pass. FILE receives standard output,
# below OUT; "-" is the log.
part() { # name importance limit FILE command...
  local name=$1 importance=$2 limit=$3 file=$4 start=$SECONDS status=passed code=0
  shift 4
  if $dry_run; then
    printf '%-22s %-8s %4d s  %s\n' "$name" "$importance" "$limit" "$*"
    return
  fi
  local left=$((deadline - SECONDS))
  if [ "$left" -lt 5 ]; then
    record "$name" "$importance" "no_time" 0
    return
  fi
  [ "$limit" -le "$left" ] || limit=$left
  local log=$out/logs/$name.log stdout=$out/$file
  [ "$file" != - ] || stdout=$log.stdout
  timeout -k 5 "$limit" "$@" > "$stdout" 2> "$log" || code=$?
  case $code in
    0) ;;
    124 | 137) status=timed_out ;;
    77) status=skipped ;;
    *) status=failed ;;
  esac
  [ "$status" = passed ] || tail -n 3 "$log" | sed 's/^/    /'
  record "$name" "$importance" "$status" $((SECONDS - start))
}

skip() { # name importance reason
  if $dry_run; then
    printf '%-22s %-8s         skipped: %s\n' "$1" "$2" "$3"
    return
  fi
  echo "$3" > "$out/logs/$1.log"
  record "$1" "$2" skipped 0
}

# (a) The programs.
if [ -z "${DDPM_BUILD:-}" ]; then
  capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -n 1)
  architecture=${capability:-9.0}
  architecture=${architecture//./}
  [ "$architecture" != 90 ] || architecture=90a # with the instructions of this generation only
  part configure required 60 - cmake --preset cuda "-DCMAKE_CUDA_ARCHITECTURES=$architecture-real"
  part build required 300 - cmake --build --preset cuda -j 16 --target ddpm framework_tests \
    cuda_tests peak_bench conv_bench op_bench step_bench sample_bench launch_bench
fi

# PyTorch compiles its best recipes for a minute and more: while tests run, so that it finds them in
# its cache when it is timed.
has_torch=false
if ! $dry_run &&
  "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2> /dev/null; then
  has_torch=true
  for work in "train --batch 128" "sample --batch 256"; do
    # shellcheck disable=SC2086  # two words
    timeout -k 5 150 "$python" bench/peers/pytorch_step.py --network cifar10 --device cuda \
      --dtype bf16 --layout channels_last --compile --graph --samples 1 --work $work \
      > "$out/logs/compile_${work%% *}.log" 2>&1 &
  done
fi

# (b) Parity with the CPU, and (d) graphs and determinism, which are part of it by name.
part parity_ops required 90 - "$bin/framework_tests" '--gtest_filter=*Cuda*' \
  "--gtest_output=json:$out/framework_tests.json"
part parity_cuda required 60 - "$bin/cuda_tests" "--gtest_output=json:$out/cuda_tests.json"
part graphs required 30 - "$bin/cuda_tests" \
  '--gtest_filter=*Replay*:*Capture*:*SameBits*:*AnyBatch*' "--gtest_output=json:$out/graphs.json"

# (e) Training runs. Losses of the CPU and of the card come from the same weights, images and noise,
# so they differ by rounding alone, which training hardly amplifies: on the CPU, the losses in bf16
# and in f32 differ by 0.3 % at most in these 100 steps, for roundings of 2^-9. Both sides in bf16 may
# differ by a little more than that: 1 %. f32 sums of some 10^3 terms in another order differ by 1e-6:
# 1e-4, as in the tests.
digits=(data=digits model.base_channels=32 'model.channel_multipliers=[1,2]'
  'model.attention_resolutions=[4]' training.batch_size=64 training.steps=100)
# shellcheck disable=SC2034  # both are used by name
full=(-c experiments/configs/cifar10.json "data.path=$out/images.bin" training.batch_size=16
  training.steps=5)
if ! $dry_run; then # 64 random images in CIFAR-10's binary format: a label and 3072 bytes each
  "$python" - "$out/images.bin" << 'END'
import random, sys
random.seed(1)
open(sys.argv[1], "wb").write(b"".join(b"\0" + random.randbytes(3072) for _ in range(64)))
END
fi
train() { # name device precision setting...
  local name=$1 device=$2 precision=$3
  shift 3
  part "train_$name" required 60 - "$bin/ddpm" train --progress=none --overwrite \
    --out "$out/runs/$name" --device "$device" "precision=$precision" "$@" training.log_every=1 \
    optimizer.warmup_steps=10 seed=1
}
for precision in f32 bf16; do
  tolerance=1e-4
  [ $precision = f32 ] || tolerance=1e-2
  for network in digits full; do
    declare -n settings=$network
    train "${network}_${precision}_cuda" cuda $precision "${settings[@]}"
    train "${network}_${precision}_cpu" cpu $precision "${settings[@]}"
    part "losses_${network}_${precision}" required 10 "losses_${network}_${precision}.json" \
      "$python" bench/gpu_summary.py losses --tolerance $tolerance \
      "$out/runs/${network}_${precision}_cpu" "$out/runs/${network}_${precision}_cuda"
  done
done
train digits_bf16_again cuda bf16 "${digits[@]}"
part same_bits required 10 same_bits.json "$python" bench/gpu_summary.py losses --tolerance 0 \
  "$out/runs/digits_bf16_cuda" "$out/runs/digits_bf16_again"

# (f) Benchmarks, most important first, with the card to themselves.
$dry_run || wait
cifar10=(--network cifar10 --samples 30 --budget 5 --json)
part step_bf16 required 30 step_bf16.json "$bin/step_bench" --device cuda --dtype bf16 "${cifar10[@]}"
part sample_bf16 required 30 sample_bf16.json "$bin/sample_bench" --device cuda --dtype bf16 \
  "${cifar10[@]}"
part conv_bf16 required 60 conv_bf16.json "$bin/conv_bench" --device cuda --dtype bf16 --all \
  --samples 10 --budget 0.2 --json
part norm_bf16 required 20 norm_bf16.json "$bin/op_bench" --device cuda --dtype bf16 --scale 8 \
  --samples 20 --budget 1 --json GroupNorm

# (g) The same work in PyTorch, on the same card: ours before and after it.
if $dry_run || $has_torch; then
  compare=("$python" scripts/compare_pytorch.py --python "$python" --build "$build" --device cuda
    --dtype bf16 --network cifar10 --samples 20)
  part pytorch_train required 130 pytorch_train.json "${compare[@]}" --work train --batch 128 --json \
    -- --best --budget 70
  part pytorch_sample required 80 pytorch_sample.json "${compare[@]}" --work sample --batch 256 \
    --json -- --best --budget 50
else
  skip pytorch_train required "$python has no torch that sees the card"
  skip pytorch_sample required "$python has no torch that sees the card"
fi

part peak required 30 peak.json "$bin/peak_bench" --device cuda --json
part launch_bf16 required 30 launch_bf16.json "$bin/launch_bench" --device cuda --dtype bf16 \
  --samples 5 --budget 5 --json
part step_f32 optional 30 step_f32.json "$bin/step_bench" --device cuda --samples 10 --budget 5 --json
part sample_f32 optional 30 sample_f32.json "$bin/sample_bench" --device cuda --samples 10 --budget 5 \
  --json
part op_bf16 optional 40 op_bf16.json "$bin/op_bench" --device cuda --dtype bf16 --scale 8 \
  --samples 20 --budget 1 --json
part op_f32 optional 40 op_f32.json "$bin/op_bench" --device cuda --scale 8 --samples 10 --budget 1 \
  --json
part conv_f32 optional 60 conv_f32.json "$bin/conv_bench" --device cuda --samples 10 --budget 1 --json

# (c) compute-sanitizer, which makes kernels some hundred times slower. Tests that provoke errors of
# the runtime are not for it.
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2> /dev/null)
filter='CudaGroupNorm*:CudaAttention*:CudaLosses*:CudaTimestep*:CudaUNet.MatchesTheCpu'
for tool in memcheck racecheck; do
  if [ -n "$sanitizer" ] || $dry_run; then
    part $tool optional 60 - "${sanitizer:-compute-sanitizer}" --tool $tool --error-exitcode 1 \
      "$bin/cuda_tests" "--gtest_filter=$filter"
  else
    skip $tool optional "compute-sanitizer was not found"
  fi
done

if $dry_run; then
  exit 0
fi
rm -rf "$out/runs" "$out/images.bin"
"$python" bench/gpu_summary.py summary "$out"

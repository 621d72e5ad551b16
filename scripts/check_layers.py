#!/usr/bin/env python3
"""Checks what the compiler does not: which folder includes which, how long files are, and that
headers do not drag in heavy libraries.

  scripts/check_layers.py            # prints one line per breach; exit code 1 if there is any

A folder may include itself and the folders of the lines before its own.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Folders on one line may include each other.
LAYERS = [
    ["framework/core"],
    ["framework/autograd"],
    ["framework/cpu", "framework/cuda"],
    ["framework/random"],
    ["framework/ops"],
    ["framework/io"],
    ["framework/config"],
    ["framework/train"],
    ["layers"],
    ["data"],
    ["diffusion"],
    ["experiments/runner", "experiments/metrics"],
    ["experiments/exchange"],
    ["experiments/report"],
    ["experiments/figures"],
    ["experiments/cli"],
    ["experiments"],
    ["tests"],
    ["bench"],
]
RANK = {folder: rank for rank, folders in enumerate(LAYERS) for folder in folders}

# Gradients are added up and seeded by ops, which in turn record themselves on the tape.
EXCEPTIONS = {("framework/autograd/tape.cpp", "framework/ops/elementwise.h")}

# Each costs every file that includes the header seconds. What backends and tests share among
# themselves may have them.
HEAVY = re.compile(r"Eigen/.*|unsupported/Eigen/.*|nlohmann/json\.hpp|cuda.*\.h|CLI/.*|hdf5\.h")
# The last ones are included by a handful of sources: they hold JSON by value, or are Eigen's types.
HEAVY_ALLOWED = ("framework/cpu/", "framework/cuda/", "tests/", "bench/",
                 "experiments/metrics/feature_matrix.h", "experiments/runner/study_file.h", "experiments/report/study_folder.h")

MAX_LINES = 500
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
SOURCES = {".cpp", ".h", ".cu", ".cuh"}


def folder_of(path):
    """The longest folder of LAYERS that holds `path`, or None."""
    parts = path.split("/")[:-1]
    for count in range(len(parts), 0, -1):
        folder = "/".join(parts[:count])
        if folder in RANK:
            return folder
    return None


def breaches_of(path, text):
    """(line number, sentence) for everything that is wrong with one source file."""
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        yield len(lines), f"has {len(lines)} lines, more than {MAX_LINES}"
    own = folder_of(path)
    if own is None:
        yield 1, "lies in no folder of LAYERS"
        return
    public_header = path.endswith((".h", ".cuh")) and not path.startswith(HEAVY_ALLOWED)
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quoted, angled = match.groups()
        if angled:
            if public_header and HEAVY.fullmatch(angled):
                yield number, f"a header includes <{angled}>; move it into a source file"
            continue
        if "/" not in quoted:
            continue  # generated
        if not (ROOT / quoted).exists():
            yield number, f'"{quoted}" is not a path from the root of the project'
            continue
        other = folder_of(quoted)
        if RANK[other] > RANK[own] and (path, quoted) not in EXCEPTIONS:
            yield number, f'{own} includes "{quoted}", but {other} lies above it'


def main():
    tops = sorted({folder.split("/")[0] for folder in RANK})
    files = [f for top in tops for f in sorted((ROOT / top).rglob("*")) if f.suffix in SOURCES]
    count = 0
    for file in files:
        path = file.relative_to(ROOT).as_posix()
        for line, sentence in breaches_of(path, file.read_text()):
            print(f"{path}:{line}: {sentence}")
            count += 1
    print(f"check_layers: {len(files)} files, {count} breaches", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())

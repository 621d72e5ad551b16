// The images that an edit begins with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/runner/loaded_run.h"

namespace ddpm {

struct EditInputs {
  int64_t first = 0, count = 0;  // of the split or the files
  std::vector<float> images;     // (count, H, W, C) on [-1, 1]
  std::vector<int32_t> labels;   // (count); empty where they are not known

  // Images first .. first + count - 1, each `copies` times in a row, from row `begin` on.
  std::vector<float> rows(int64_t begin, int64_t rows, int64_t copies) const;
};

// Images first .. first + count - 1 of a split, "test" or "train", or, where `path` is not empty,
// of the PNG files of that folder in the order of their names, or the one PNG it names. Bytes of a
// file are taken for the nearest of the data's grey levels.
EditInputs read_edit_inputs(const LoadedRun& run, const std::string& path, const std::string& split,
                            int64_t first, int64_t count);

}  // namespace ddpm

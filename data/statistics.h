// What `ddpm data` reports: the numbers by which a data set is recognised and by which a wrong one
// is noticed before it is trained on.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace ddpm {

// In the units of the data: grey levels, or continuous values. All zero for an empty split.
struct SplitStatistics {
  double min = 0, max = 0;
  std::vector<double> mean, std;      // (C), std over the population
  std::vector<int64_t> class_counts;  // one per class name; empty without labels
};
SplitStatistics statistics(const Dataset& dataset, const Split& split);

// {"name", "shape", "levels", "flip", "classes", "source", "licence", "note", "train": {"count",
// "min", "max", "mean", "std", "class_counts", "data_sha256", "labels_sha256"}, "test": {...}}
nlohmann::json describe(const Dataset& dataset);
// The same for people.
std::string describe_text(const Dataset& dataset);

}  // namespace ddpm

// The study file, read strictly and unrolled into cells.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "experiments/runner/statistics.h"

namespace ddpm {

struct StudyVariant {
  std::string name, label;
  std::vector<std::string> set = {};  // overrides: a.b=v
  nlohmann::ordered_json paper = nlohmann::ordered_json::object();
};

struct StudyFile {
  std::string name, title, note;
  nlohmann::ordered_json base;
  std::vector<int64_t> seeds;
  std::vector<StudyVariant> variants;  // a grid is unrolled, the first axis varying slowest
  std::vector<std::string> columns;
  nlohmann::ordered_json tables;  // of the paper, see study.h
  std::string baseline;           // the variant that the others are compared with
  IntervalMethod interval = IntervalMethod::kT;
  // Whether runs of one seed draw the same random numbers in every variant, so that they are pairs.
  bool common_random_numbers = true;

  static StudyFile read(const std::string& path);
  nlohmann::ordered_json to_json() const;
};

}  // namespace ddpm

// The data sets by name.
//
//   auto source = datasets().make(config, "data", "digits");   // reads settings, touches no file
//   config.finish();
//   Dataset dataset = source->load();
#pragma once

#include <memory>
#include <vector>

#include "data/dataset.h"
#include "data/transforms.h"
#include "framework/config/config.h"
#include "framework/config/registry.h"

namespace ddpm {

// Where a data set comes from, and what is to be done to it: the settings that all sources share.
class DataSource {
 public:
  virtual ~DataSource() = default;
  Dataset load() const;

 protected:
  explicit DataSource(const Config& config, int64_t default_holdout = 0);

 private:
  virtual Dataset read() const = 0;

  std::vector<int64_t> size_;  // (H, W), or empty: as stored
  Resize resize_;
  int64_t channels_, limit_, holdout_;  // 0: as stored
  bool flip_;
};

const Registry<DataSource>& datasets();

}  // namespace ddpm

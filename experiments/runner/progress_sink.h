// ProgressSink: where long work says how far it is. The runner calls it, the command line paints it
// (experiments/cli/progress.h); tests and embedders pass none or their own.
//
//   progress.begin("train", 10000, 4200);             // resumed at step 4200
//   progress.update(4201, {{"loss", "0.0312"}});       // every step; paints only now and then
//   progress.update(4202);                             // the fields stay as they were
//   progress.end();
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ddpm {

struct ProgressField {
  std::string key, text;
};

class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  // `total` 0: not known. `done` steps were done before this process.
  virtual void begin(std::string_view name, int64_t total, int64_t done = 0) = 0;
  // Without fields those of the last call stay.
  virtual void update(int64_t done, const std::vector<ProgressField>& fields = {}) = 0;
  virtual void end() = 0;
};

}  // namespace ddpm

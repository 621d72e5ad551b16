// Ticker: counts the steps of a named piece of work.
#pragma once

#include <cstdint>
#include <string>

#include "experiments/runner/progress_sink.h"

namespace ddpm {

// Ends its progress line, and the work after a signal.
class Ticker {
 public:
  Ticker(ProgressSink* progress, const std::string& name, int64_t total);
  ~Ticker();
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;
  void tick();

 private:
  ProgressSink* progress_;
  int64_t done_ = 0;
};

}  // namespace ddpm

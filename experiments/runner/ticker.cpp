#include "experiments/runner/ticker.h"

#include "experiments/runner/interrupt.h"

namespace ddpm {

Ticker::Ticker(ProgressSink* progress, const std::string& name, int64_t total)
    : progress_(progress) {
  if (progress_) progress_->begin(name, total);
}

Ticker::~Ticker() {
  if (progress_) progress_->end();
}

void Ticker::tick() {
  ++done_;
  if (progress_) progress_->update(done_);
  if (interrupt_signal()) throw Interrupted("stopped");
}

}  // namespace ddpm

// Progress on stderr, in four forms:
//
//   bar    train  42%|####      | 4200/10000 [01:23<01:55, 50.4it/s, loss=0.0312, lr=2.0e-04]
//   plain  the same without the bar, a line every few seconds: for logs
//   json   one object per line and second
//   none
//
// The rate is a moving average as in tqdm; the bar is painted at most ten times a second.
#pragma once

#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/runner/progress_sink.h"

namespace ddpm {

struct ProgressState {
  std::string name;
  int64_t done = 0, total = 0;  // total 0: not known
  double seconds = 0;           // since begin()
  double rate = 0;              // steps per second; 0: not known yet
  std::vector<ProgressField> fields = {};
};

// At most `width` columns. Fields that do not fit are left out from the right, then the bar.
enum class Bar { kNone, kAscii, kBlocks };
std::string progress_line(const ProgressState& state, int width, Bar bar);
std::string progress_json(const ProgressState& state);

// Steps per second, averaged exponentially over the paints (weight 0.3 for the newest).
class Rate {
 public:
  void add(double steps, double seconds);
  double per_second() const { return seconds_ > 0 ? steps_ / seconds_ : 0; }

 private:
  double steps_ = 0, seconds_ = 0;
};

enum class ProgressMode { kBar, kPlain, kJson, kNone };
// "auto" is a bar on a terminal and plain elsewhere.
ProgressMode progress_mode(std::string_view name, std::FILE* stream);

class Progress final : public ProgressSink {
 public:
  // In seconds, from any origin.
  using Clock = std::function<double()>;
  Progress(ProgressMode mode, std::FILE* stream, Clock clock = steady_seconds);

  void begin(std::string_view name, int64_t total, int64_t done) override;
  void update(int64_t done, const std::vector<ProgressField>& fields) override;
  void end() override;

  // Runs `message` with the line out of its way: for what else is written to the terminal.
  void interrupt(const std::function<void()>& message);

  static double steady_seconds();

 private:
  void paint(double now);
  void write(const std::string& text);

  const ProgressMode mode_;
  std::FILE* const stream_;
  const Clock clock_;
  std::mutex mutex_;
  bool running_ = false;
  ProgressState state_;
  Rate rate_;
  double started_ = 0, painted_ = 0, measured_ = 0;  // measured: the newest sample of the rate
  int64_t measured_done_ = 0;
};

}  // namespace ddpm

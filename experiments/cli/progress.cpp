#include "experiments/cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "experiments/cli/terminal.h"

namespace ddpm {
namespace {

constexpr int kMaxBarWidth = 40, kMinBarWidth = 5;

// 01:23, 1:02:03.
std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(seconds);
  const int64_t hours = s / 3600, minutes = s / 60 % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, s % 60)
                   : fmt::format("{:02}:{:02}", minutes, s % 60);
}

std::string rate_text(double rate) {
  if (rate <= 0) return "?it/s";
  const bool slow = rate < 1;
  const double x = slow ? 1 / rate : rate;
  return fmt::format("{:.{}f}{}", x, x < 10 ? 2 : x < 1000 ? 1 : 0, slow ? "s/it" : "it/s");
}

std::string bar_of(double fraction, int width, Bar bar) {
  const double filled = fraction * width;
  const int whole = std::min(width, static_cast<int>(filled));
  if (bar == Bar::kAscii) return std::string(whole, '#') + std::string(width - whole, ' ');
  static constexpr const char* kEighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  std::string text;
  for (int i = 0; i < whole; ++i) text += "█";
  if (whole < width) text += kEighths[static_cast<int>((filled - whole) * 8)];
  return text + std::string(std::max(0, width - whole - 1), ' ');
}

double seconds_between_paints(ProgressMode mode) {
  return mode == ProgressMode::kBar ? 0.1 : mode == ProgressMode::kJson ? 1 : 5;
}

}  // namespace

std::string progress_line(const ProgressState& state, int width, Bar bar) {
  std::string left = state.name, count = fmt::format("{}it", state.done);
  std::string times = duration(state.seconds);
  const bool bounded = state.total > 0;
  const double fraction =
      bounded
          ? std::clamp(static_cast<double>(state.done) / static_cast<double>(state.total), 0.0, 1.0)
          : 0;
  if (bounded) {
    left += fmt::format(" {:3}%", static_cast<int>(fraction * 100));
    count = fmt::format("{}/{}", state.done, state.total);
    const double remaining = static_cast<double>(state.total - state.done) / state.rate;
    times += fmt::format("<{}", state.rate > 0 ? duration(std::max(0.0, remaining)) : "?");
  }
  size_t shown = state.fields.size();
  const auto right = [&] {
    std::string text = fmt::format(" {} [{}, {}", count, times, rate_text(state.rate));
    for (size_t i = 0; i < shown; ++i)
      text += fmt::format(", {}={}", state.fields[i].key, state.fields[i].text);
    return text + "]";
  };
  const auto space = [&] {
    return width - static_cast<int>(left.size()) - static_cast<int>(right().size());
  };
  while (shown > 0 && space() < 0) --shown;
  const int bar_width = std::min(kMaxBarWidth, space() - 2);
  const bool has_bar = bar != Bar::kNone && bounded && bar_width >= kMinBarWidth;
  std::string line = left;
  if (has_bar) line += fmt::format("|{}|", bar_of(fraction, bar_width, bar));
  line += right();
  if (!has_bar) line.resize(std::min(line.size(), static_cast<size_t>(std::max(width, 0))));
  return line;
}

std::string progress_json(const ProgressState& state) {
  nlohmann::ordered_json json = {{"progress", state.name}, {"done", state.done}};
  if (state.total > 0) json["total"] = state.total;
  json["seconds"] = std::round(state.seconds * 1000) / 1000;
  if (state.rate > 0) json["per_second"] = state.rate;
  for (const ProgressField& field : state.fields) json[field.key] = field.text;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void Rate::add(double steps, double seconds) {
  constexpr double kNewest = 0.3;
  // Weights need not sum to one: they cancel in the quotient.
  steps_ = kNewest * steps + (1 - kNewest) * steps_;
  seconds_ = kNewest * seconds + (1 - kNewest) * seconds_;
}

ProgressMode progress_mode(std::string_view name, std::FILE* stream) {
  if (name == "bar") return ProgressMode::kBar;
  if (name == "plain") return ProgressMode::kPlain;
  if (name == "json") return ProgressMode::kJson;
  if (name == "none") return ProgressMode::kNone;
  const char* term = std::getenv("TERM");
  const bool dumb = !term || std::string_view(term) == "dumb";
  return is_terminal(stream) && !dumb ? ProgressMode::kBar : ProgressMode::kPlain;
}

Progress::Progress(ProgressMode mode, std::FILE* stream, Clock clock)
    : mode_(mode), stream_(stream), clock_(std::move(clock)) {}

double Progress::steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Progress::begin(std::string_view name, int64_t total, int64_t done) {
  const std::lock_guard lock(mutex_);
  state_ = {.name = std::string(name), .done = done, .total = total};
  rate_ = {};
  started_ = painted_ = measured_ = clock_();
  measured_done_ = done;
  running_ = true;
  if (mode_ == ProgressMode::kBar) paint(started_);
}

void Progress::update(int64_t done, const std::vector<ProgressField>& fields) {
  const std::lock_guard lock(mutex_);
  state_.done = done;
  if (!fields.empty()) state_.fields = fields;
  const double now = clock_();
  if (running_ && now - painted_ >= seconds_between_paints(mode_)) paint(now);
}

void Progress::end() {
  const std::lock_guard lock(mutex_);
  if (!running_) return;
  paint(clock_());
  if (mode_ == ProgressMode::kBar) write("\n");
  running_ = false;
}

void Progress::interrupt(const std::function<void()>& message) {
  const std::lock_guard lock(mutex_);
  const bool visible = running_ && mode_ == ProgressMode::kBar;
  if (visible) write("\r\x1b[K");
  message();
  if (visible) paint(clock_());
}

// Whoever closes stderr loses the progress, not the run: fmt::print would throw.
void Progress::write(const std::string& text) { std::fputs(text.c_str(), stream_); }

void Progress::paint(double now) {
  painted_ = now;
  if (now > measured_ && state_.done > measured_done_) {
    rate_.add(static_cast<double>(state_.done - measured_done_), now - measured_);
    measured_ = now;
    measured_done_ = state_.done;
  }
  state_.seconds = now - started_;
  state_.rate = rate_.per_second();
  switch (mode_) {
    case ProgressMode::kBar: {
      static const Bar bar = locale_is_utf8() ? Bar::kBlocks : Bar::kAscii;
      // The last column stays free: some terminals wrap when it is written.
      write(fmt::format("\r{}\x1b[K", progress_line(state_, terminal_width(stream_) - 1, bar)));
      break;
    }
    case ProgressMode::kPlain: write(progress_line(state_, 1000, Bar::kNone) + "\n"); break;
    case ProgressMode::kJson: write(progress_json(state_) + "\n"); break;
    case ProgressMode::kNone: break;
  }
  std::fflush(stream_);
}

}  // namespace ddpm

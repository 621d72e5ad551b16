#include "experiments/cli/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/spdlog.h>

#include "experiments/cli/terminal.h"

namespace ddpm {
namespace {

// "ddpm: warning: text"; information has no level.
class TerminalSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  TerminalSink(bool color, Progress* progress) : color_(color), progress_(progress) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const auto write = [&] {
      const std::string_view text(message.payload.data(), message.payload.size());
      std::fputs(fmt::format("ddpm: {}{}\n", prefix(message.level), text).c_str(), stderr);
    };
    progress_ ? progress_->interrupt(write) : write();
  }
  void flush_() override { std::fflush(stderr); }

  std::string prefix(spdlog::level::level_enum level) const {
    if (level >= spdlog::level::err) return styled("error:", Style::kRed, color_) + " ";
    if (level == spdlog::level::warn) return styled("warning:", Style::kYellow, color_) + " ";
    return "";
  }

  bool color_;
  Progress* progress_;
};

using Backlog = spdlog::sinks::ringbuffer_sink_mt;
constexpr size_t kBacklog = 1000;

}  // namespace

void open_log(int verbosity, bool color, Progress* progress) {
  auto sink = std::make_shared<TerminalSink>(color, progress);
  sink->set_level(verbosity < 0    ? spdlog::level::err
                  : verbosity == 0 ? spdlog::level::info
                                   : spdlog::level::debug);
  const spdlog::sinks_init_list sinks = {std::move(sink), std::make_shared<Backlog>(kBacklog)};
  auto logger = std::make_shared<spdlog::logger>("ddpm", sinks);
  logger->set_level(spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
}

void log_to_file(const std::string& path) {
  auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
  file->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  std::shared_ptr<spdlog::sinks::sink>& backlog = spdlog::default_logger()->sinks().back();
  // After a first file there is no backlog: what a command logs of its next run goes to that one's.
  if (auto* held = dynamic_cast<Backlog*>(backlog.get()))
    for (const auto& message : held->last_raw()) file->log(message);
  backlog = std::move(file);
  spdlog::default_logger()->flush_on(spdlog::level::info);
}

void close_log() { spdlog::shutdown(); }

}  // namespace ddpm

#include "experiments/cli/command.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "experiments/cli/terminal.h"

namespace ddpm {

void ConfigOptions::bind(CommandLine& line) {
  line.text("-c,--config", file, "FILE", "experiment to start from; without one, all defaults");
  line.assignments(set);
}

ConfigSource ConfigOptions::source() const {
  ConfigSource source = file.empty() ? ConfigSource() : ConfigSource::parse_file(file);
  for (const std::string& assignment : set) source.set(assignment);
  return source;
}

Session::Session(const OutputOptions& output, const std::string& progress_mode_name)
    : progress(output.quiet ? ProgressMode::kNone : progress_mode(progress_mode_name, stderr),
               stderr) {
  open_log(output.verbosity(), wants_color(output.color, stderr), &progress);
}

Session::~Session() {
  progress.end();  // after an exception the line is still there
  close_log();
}

void bind_progress(CommandLine& line, std::string& mode) {
  line.choice("--progress", mode, {"auto", "bar", "plain", "json", "none"}, "MODE",
              "progress on stderr");
}

void print_json(const nlohmann::ordered_json& json) {
  // Paths and host names need not be UTF-8.
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void print_files(const std::vector<std::string>& paths, const OutputOptions& output) {
  if (output.json) {
    print_json({{"files", paths}});
  } else {
    for (const std::string& path : paths) fmt::print("{}\n", path);
  }
}

}  // namespace ddpm

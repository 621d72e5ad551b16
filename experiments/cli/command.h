// A command of ddpm, one file each: its help, and a function that declares its options and returns
// what to run once they are parsed.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "experiments/cli/command_line.h"
#include "experiments/cli/log.h"
#include "experiments/cli/progress.h"
#include "framework/config/config_source.h"

namespace ddpm {

struct Command {
  CommandHelp help;
  std::function<int()> (*bind)(CommandLine& line);
};

extern const Command kTrainCommand, kSampleCommand, kEvalCommand, kAblateCommand, kReportCommand,
    kExtractorCommand, kFigureCommand, kEditCommand, kSweepCommand, kDistillCommand, kExportCommand,
    kImportCommand;
extern const Command kListCommand, kDataListCommand, kDataInspectCommand;
extern const Command kConfigShowCommand, kConfigSchemaCommand, kConfigCheckCommand;
extern const Command kDoctorCommand, kVersionCommand;

// Shared by the commands that read a configuration.
struct ConfigOptions {
  std::string file;
  std::vector<std::string> set;

  void bind(CommandLine& line);
  ConfigSource source() const;
};

// The log and the progress line of a command that works for a while.
class Session {
 public:
  Session(const OutputOptions& output, const std::string& progress_mode);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Progress progress;
};
void bind_progress(CommandLine& line, std::string& mode);

void print_json(const nlohmann::ordered_json& json);
// The result of a command that writes files.
void print_files(const std::vector<std::string>& paths, const OutputOptions& output);

}  // namespace ddpm

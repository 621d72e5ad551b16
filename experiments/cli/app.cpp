#include "experiments/cli/app.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>

#include "experiments/cli/command.h"
#include "experiments/cli/terminal.h"
#include "experiments/runner/interrupt.h"
#include "experiments/runner/train.h"
#include "framework/config/suggest.h"
#include "framework/core/check.h"

namespace ddpm {
namespace {

using Arguments = std::vector<std::string>;

const std::vector<const Command*>& commands() {
  static const std::vector<const Command*> all = {
      &kTrainCommand,       &kSampleCommand,       &kEditCommand,        &kEvalCommand,
      &kAblateCommand,      &kReportCommand,       &kFigureCommand,      &kSweepCommand,
      &kDistillCommand,     &kExportCommand,       &kImportCommand,      &kExtractorCommand,
      &kListCommand,        &kDataListCommand,     &kDataInspectCommand, &kConfigShowCommand,
      &kConfigCheckCommand, &kConfigSchemaCommand, &kDoctorCommand,      &kVersionCommand,
  };
  return all;
}

// "config show" -> "config", "show".
std::pair<std::string, std::string> words(const Command& command) {
  const std::string name = command.help.name;
  const size_t space = name.find(' ');
  if (space == std::string::npos) return {name, ""};
  return {name.substr(0, space), name.substr(space + 1)};
}

std::string overview(bool color) {
  std::string text = fmt::format(
      "{} ddpm COMMAND [options] [a.b=v ...]\n\n"
      "A laboratory for denoising diffusion models: train, sample, measure, compare.\n\n{}\n"
      "  ddpm train --steps 2000 model.base_channels=32\n"
      "  ddpm ablate table2_digits\n"
      "  ddpm report runs/table2_digits\n\n{}\n",
      styled("Usage:", Style::kBold, color), styled("Examples:", Style::kBold, color),
      styled("Commands:", Style::kBold, color));
  for (const Command* command : commands())
    text += fmt::format("  {:<15} {}\n", command->help.name, first_sentence(command->help.about));
  return text + "\n'ddpm COMMAND --help' says more, exit codes included.\n";
}

// Takes the command's words off the front of `arguments`; null if they only ask for help on a
// group.
const Command* find_command(Arguments& arguments, bool asks_help) {
  const auto next = [&] {
    std::string word = arguments.empty() ? "" : arguments.front();
    if (!arguments.empty()) arguments.erase(arguments.begin());
    return word;
  };
  const std::string first = next();
  std::vector<std::string> names, seconds;
  for (const Command* command : commands()) {
    const auto [name, second] = words(*command);
    if (name == first && second.empty()) return command;
    if (name == first) seconds.push_back(second);
    if (names.empty() || names.back() != name) names.push_back(name);
  }
  DDPM_CHECK(!first.starts_with("-"), "unknown option '{}' before the command. See 'ddpm --help'",
             first);
  DDPM_CHECK(!seconds.empty(), "unknown command '{}'.{} See 'ddpm --help'", first,
             did_you_mean(first, names));
  const std::string second = next();
  if (second == "-h" || second == "--help" || (asks_help && second.empty())) return nullptr;
  for (const Command* command : commands())
    if (words(*command) == std::pair(first, second)) return command;
  DDPM_CHECK(!second.empty(), "'ddpm {}' needs one of: {}", first, fmt::join(seconds, ", "));
  fail_user("unknown command '{} {}'.{} See 'ddpm --help'", first, second,
            did_you_mean(second, seconds));
}

// Not fmt::print, which throws when stderr is closed.
void print_message(const char* level, Style style, const std::string& color,
                   std::string_view message) {
  const std::string prefix = styled(level, style, wants_color(color, stderr));
  std::fputs(fmt::format("ddpm: {} {}\n", prefix, message).c_str(), stderr);
}

int run_command(Arguments arguments) {
  if (arguments.empty()) {
    std::fputs(overview(wants_color("auto", stderr)).c_str(), stderr);
    return kExitUsage;
  }
  const bool color = wants_color("auto", stdout);
  if (arguments[0] == "--version") arguments[0] = "version";
  const bool asks_help = arguments[0] == "help";
  if (asks_help) arguments.erase(arguments.begin());
  if (arguments.empty() || arguments[0] == "-h" || arguments[0] == "--help") {
    fmt::print("{}", overview(color));
    return kExitOk;
  }
  const Command* command = find_command(arguments, asks_help);
  if (!command) {
    fmt::print("{}", overview(color));
    return kExitOk;
  }
  CommandLine line(command->help);
  const std::function<int()> run = command->bind(line);
  if (!asks_help) line.parse(arguments);
  if (asks_help || line.output().help) {
    fmt::print("{}", line.help(wants_color(line.output().color, stdout)));
    return kExitOk;
  }
  try {
    return run();
  } catch (const Interrupted& stop) {
    const OutputOptions& output = line.output();
    if (output.verbosity() >= 0)
      print_message("warning:", Style::kYellow, output.color, stop.what());
    return exit_code(RunStatus::kInterrupted);
  }
}

void print_error(std::string_view message) {
  print_message("error:", Style::kRed, "auto", message);
}

}  // namespace

int run_app(const std::vector<std::string>& arguments) {
  try {
    const int code = run_command(arguments);
    // A full disk or a closed pipe shows here at the latest.
    if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return code;
    print_error("cannot write the result to standard output");
  } catch (const UserError& error) {
    print_error(error.what());
    return kExitUsage;
  } catch (const std::bad_alloc&) {
    print_error("out of memory");
  } catch (const std::exception& error) {
    print_error(error.what());
  }
  return kExitFailed;
}

}  // namespace ddpm

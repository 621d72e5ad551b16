#include "experiments/cli/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <map>
#include <sstream>

#include "experiments/cli/terminal.h"
#include "framework/config/suggest.h"
#include "framework/core/check.h"

namespace ddpm {
namespace {

constexpr size_t kHelpWidth = 96;

// Whether this is "a.b=v" and not, say, a path with '=' in it.
bool is_assignment(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string_view::npos) return false;
  return std::all_of(text.begin(), text.begin() + static_cast<ptrdiff_t>(equals), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.';
  });
}

// CLI11 gives an option whatever follows it, were it another option.
std::string check_value(const std::string& value) {
  const bool is_short = value.size() == 2 && value[0] == '-' &&
                        std::isalpha(static_cast<unsigned char>(value[1])) != 0;
  return value.starts_with("--") || is_short
             ? fmt::format("needs a value, found the option '{}'", value)
             : "";
}

std::string wrap(std::string_view text, size_t indent) {
  std::string wrapped;
  size_t column = indent;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const size_t length = end - begin;
    if (column + length + 1 > kHelpWidth && column > indent) {
      wrapped += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      wrapped += " ";
      ++column;
    }
    wrapped += text.substr(begin, length);
    column += length;
    begin = end + 1;
  }
  return wrapped;
}

std::string with_default(const std::string& help, const std::string& value,
                         const std::string& range = "") {
  if (value.empty() && range.empty()) return help;
  const std::string text = value.empty() ? "" : "default: " + value;
  return fmt::format("{} [{}{}{}]", help, text, text.empty() || range.empty() ? "" : "; ", range);
}

constexpr const char* kExitCodes =
    "  0 success; 1 the run failed; 2 wrong usage or configuration; 3 diverged;\n"
    "  130, 143 stopped by SIGINT, SIGTERM (after a checkpoint)\n";

}  // namespace

struct CommandLine::Parser {
  CLI::App app;
  CLI::Option* set = nullptr;
  std::map<const CLI::Option*, std::string> shorthands;  // option -> key
  std::vector<std::string> set_values, bare;
  std::map<const CLI::Option*, std::vector<std::string>> shorthand_values;
};

CommandLine::CommandLine(const CommandHelp& help)
    : about_(help), argv_{"ddpm"}, parser_(std::make_unique<Parser>()) {
  std::istringstream words(help.name);
  for (std::string word; words >> word;) argv_.push_back(word);
  parser_->app.set_help_flag();
  parser_->app.allow_extras();
  parser_->app.add_option("arguments", parser_->bare);
  flag("-h,--help", output_.help, "show this help");
  flag("--json", output_.json, "print the result as JSON");
  flag("-q,--quiet", output_.quiet, "errors only");
  parser_->app.add_flag("-v,--verbose", output_.verbose);
  options_.push_back({"-v,--verbose", "", "show details"});
  choice("--color", output_.color, {"auto", "always", "never"}, "WHEN",
         "colours; auto: on a terminal, unless NO_COLOR is set");
}

CommandLine::~CommandLine() = default;

void CommandLine::flag(const std::string& names, bool& value, const std::string& help) {
  parser_->app.add_flag(names, value);
  options_.push_back({names, "", help});
}

void CommandLine::text(const std::string& names, std::string& value, const std::string& metavar,
                       const std::string& help) {
  parser_->app.add_option(names, value)->check(check_value)->take_last();
  options_.push_back({names, metavar, with_default(help, value)});
}

void CommandLine::choice(const std::string& names, std::string& value,
                         const std::vector<std::string>& choices, const std::string& metavar,
                         const std::string& help) {
  const auto check = [choices](const std::string& given) {
    if (std::find(choices.begin(), choices.end(), given) != choices.end()) return std::string();
    return fmt::format("must be one of {}, found '{}'.{}", fmt::join(choices, ", "), given,
                       did_you_mean(given, choices));
  };
  parser_->app.add_option(names, value)->check(check)->take_last();
  options_.push_back(
      {names, metavar, with_default(help, value, fmt::format("{}", fmt::join(choices, ", ")))});
}

void CommandLine::integer(const std::string& names, int64_t& value, int64_t min, int64_t max,
                          const std::string& metavar, const std::string& help) {
  const auto check = [min, max](const std::string& given) {
    int64_t x = 0;
    const char* end = given.data() + given.size();
    const auto [stop, error] = std::from_chars(given.data(), end, x);
    const bool ok = error == std::errc() && stop == end && x >= min && x <= max;
    return ok ? "" : fmt::format("must be an integer in [{}, {}], found '{}'", min, max, given);
  };
  parser_->app.add_option(names, value)->check(check)->take_last();
  options_.push_back(
      {names, metavar, with_default(help, std::to_string(value), fmt::format("{}..{}", min, max))});
}

void CommandLine::optional_text(const std::string& name, std::string& value,
                                const std::string& implied, const std::string& metavar,
                                const std::string& help) {
  parser_->app.add_flag(fmt::format("{}{{{}}}", name, implied), value);
  options_.push_back({name, fmt::format("[={}|{}]", implied, metavar), help});
}

void CommandLine::assignments(std::vector<std::string>& values) {
  assignments_ = &values;
  parser_->set = parser_->app.add_option("--set", parser_->set_values)
                     ->check(check_value)
                     ->allow_extra_args(false);
  options_.push_back({"--set", "a.b=v", "set a key of the configuration; also as a bare a.b=v"});
}

void CommandLine::shorthand(const std::string& name, const std::string& key,
                            const std::string& metavar, const std::string& help) {
  // Results are read from the option itself, in the order of the command line.
  CLI::Option* option = parser_->app.add_option(name)->expected(1)->take_all()->check(check_value);
  parser_->shorthands[option] = key;
  options_.push_back({name, metavar, fmt::format("{}: short for {}={}", help, key, metavar)});
}

void CommandLine::positional(const std::string& metavar, std::string& value, bool required,
                             const std::string& help) {
  positionals_.push_back({metavar, help, &value, required});
}

std::vector<std::string> CommandLine::long_names() const {
  std::vector<std::string> names;
  for (const Described& option : options_)
    names.push_back(option.names.substr(option.names.find("--")));
  return names;
}

// CLI11's own messages are never shown: they name types and counts instead of what to do.
std::string CommandLine::explain(const std::string& message) const {
  for (const std::string& name : long_names()) {
    if (message.starts_with("Could not convert: " + name + " "))
      return fmt::format("option {} takes no value", name);
    if (!message.starts_with(name + ":")) continue;
    const std::string rest = message.substr(name.size() + 2);
    return rest.ends_with("missing") ? fmt::format("option {} needs a value", name)
                                     : fmt::format("option {} {}", name, rest);
  }
  return message;
}

void CommandLine::take_argument(const std::string& argument) {
  const auto open = std::find_if(positionals_.begin(), positionals_.end(),
                                 [](const Positional& p) { return p.value->empty(); });
  if (assignments_ && is_assignment(argument)) {
    assignments_->push_back(argument);
  } else if (open != positionals_.end()) {
    *open->value = argument;
  } else if (assignments_) {
    fail_user(
        "unexpected argument '{}'; a setting is written a.b=v, a file of settings "
        "--config FILE. See 'ddpm {} --help'",
        argument, about_.name);
  } else {
    fail_user("unexpected argument '{}'. See 'ddpm {} --help'", argument, about_.name);
  }
}

void CommandLine::parse(const std::vector<std::string>& arguments) {
  argv_.insert(argv_.end(), arguments.begin(), arguments.end());
  Parser& parser = *parser_;
  try {
    // CLI11 takes them last first.
    parser.app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    throw UserError(explain(error.what()));
  }
  if (output_.help) return;
  for (const std::string& extra : parser.app.remaining()) {
    if (extra == "--") continue;  // what follows are no options
    const std::string name = extra.substr(0, extra.find('='));
    fail_user("unknown option '{}'.{} See 'ddpm {} --help'", name, did_you_mean(name, long_names()),
              about_.name);
  }
  std::map<const CLI::Option*, size_t> taken;
  for (const CLI::Option* option : parser.app.parse_order()) {
    const auto shorthand = parser.shorthands.find(option);
    const bool bare = option->get_positional();
    if (!bare && option != parser.set && shorthand == parser.shorthands.end()) continue;
    const std::string& value = option->results().at(taken[option]++);
    if (bare) {
      take_argument(value);
    } else if (option == parser.set) {
      assignments_->push_back(value);
    } else {
      assignments_->push_back(shorthand->second + "=" + value);
    }
  }
  for (const Positional& p : positionals_)
    DDPM_CHECK(!p.required || !p.value->empty(), "{} is missing. See 'ddpm {} --help'", p.metavar,
               about_.name);
}

std::string CommandLine::help(bool color) const {
  const auto heading = [&](const char* text) {
    return "\n" + styled(text, Style::kBold, color) + "\n";
  };
  static constexpr size_t kColumn = 30;
  const auto row = [](const std::string& left, const std::string& right) {
    std::string line = "  " + left;
    if (line.size() + 2 > kColumn) line += "\n" + std::string(kColumn, ' ');
    line.resize(std::max(line.size(), kColumn), ' ');
    return line + wrap(right, kColumn) + "\n";
  };
  std::string text = fmt::format("{} ddpm {} {}\n\n{}\n", styled("Usage:", Style::kBold, color),
                                 about_.name, about_.synopsis, wrap(about_.about, 0));
  if (!about_.examples.empty()) text += heading("Examples:");
  for (const char* example : about_.examples) text += fmt::format("  {}\n", example);
  if (!positionals_.empty()) text += heading("Arguments:");
  for (const Positional& p : positionals_) text += row(p.metavar, p.help);
  text += heading("Options:");
  const auto option_row = [&](const Described& option) {
    std::string left = option.names;
    const size_t comma = left.find(',');
    left = comma == std::string::npos ? "    " + left : left.replace(comma, 1, ", ");
    const bool joined = option.metavar.starts_with("[=");
    if (!option.metavar.empty()) left += (joined ? "" : " ") + option.metavar;
    text += row(left, option.help);
  };
  // The command's own first, what every command has last.
  const size_t shared = std::min<size_t>(5, options_.size());
  for (size_t i = shared; i < options_.size(); ++i) option_row(options_[i]);
  for (size_t i = 0; i < shared; ++i) option_row(options_[i]);
  text += heading("Exit codes:") + kExitCodes;
  if (*about_.files) text += heading("Files:") + "  " + wrap(about_.files, 2) + "\n";
  return text;
}

std::string first_sentence(std::string_view text) {
  return std::string(text.substr(0, text.find(". ")));
}

}  // namespace ddpm

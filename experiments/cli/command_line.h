// CommandLine: the options of one command, their parsing and their help. CLI11 stays behind it, and
// so do its habits (version 2.1.2): exit codes above 100, no suggestions, lists that swallow what
// follows, options that take the next option as their value.
//
//   std::string out;
//   line.text("-o,--out", out, "DIR", "the run folder");
//   line.parse({"--out", "runs/a"});    // or throws UserError: "unknown option '--otu'. Did ..."
//
// Variables must live until parse(); their values before it are the defaults that help shows.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ddpm {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,
  kExitUsage = 2,
  kExitDiverged = 3,
  kExitInterrupted = 130,  // SIGINT
  kExitTerminated = 143,   // SIGTERM
};

// What a command says about itself.
struct CommandHelp {
  const char* name;      // "config show"
  const char* synopsis;  // "RUN [options] [a.b=v ...]"
  const char* about;     // a paragraph; its first sentence is the summary in the list of commands
  std::vector<const char*> examples;
  const char* files = "";
};

// Every command has these.
struct OutputOptions {
  bool json = false, quiet = false, help = false;
  int verbose = 0;
  std::string color = "auto";
  int verbosity() const { return quiet ? -1 : verbose; }
};

class CommandLine {
 public:
  explicit CommandLine(const CommandHelp& help);
  ~CommandLine();

  // Names are CLI11's: "-n,--dry-run".
  void flag(const std::string& names, bool& value, const std::string& help);
  void text(const std::string& names, std::string& value, const std::string& metavar,
            const std::string& help);
  void choice(const std::string& names, std::string& value, const std::vector<std::string>& choices,
              const std::string& metavar, const std::string& help);
  void integer(const std::string& names, int64_t& value, int64_t min, int64_t max,
               const std::string& metavar, const std::string& help);
  // --name alone means `implied`; a value must be joined to it: --name=value.
  void optional_text(const std::string& name, std::string& value, const std::string& implied,
                     const std::string& metavar, const std::string& help);
  // "a.b=v", as --set a.b=v or bare, in the order given.
  void assignments(std::vector<std::string>& values);
  // --name v appends key=v to the assignments.
  void shorthand(const std::string& name, const std::string& key, const std::string& metavar,
                 const std::string& help);
  // The next argument that is neither an option nor an assignment, in the order of these calls.
  void positional(const std::string& metavar, std::string& value, bool required,
                  const std::string& help);

  void parse(const std::vector<std::string>& arguments);
  const OutputOptions& output() const { return output_; }
  // The whole command, for the record: ddpm, the command, what was parsed.
  const std::vector<std::string>& argv() const { return argv_; }
  std::string help(bool color) const;

 private:
  struct Parser;  // CLI11's
  struct Described {
    std::string names, metavar, help;
  };
  std::string explain(const std::string& message) const;
  void take_argument(const std::string& argument);
  std::vector<std::string> long_names() const;

  const CommandHelp about_;
  OutputOptions output_;
  std::vector<std::string> argv_;
  std::unique_ptr<Parser> parser_;
  std::vector<Described> options_;
  std::vector<std::string>* assignments_ = nullptr;
  struct Positional {
    std::string metavar, help;
    std::string* value;
    bool required;
  };
  std::vector<Positional> positionals_;
};

// Up to the first full stop.
std::string first_sentence(std::string_view text);

}  // namespace ddpm

// ddpm version.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "experiments/cli/command.h"
#include "experiments/runner/build_info.h"

namespace ddpm {

const Command kVersionCommand = {
    {"version",
     "[options]",
     "Prints the version and the commit of the program. With --json also how it was built.",
     {"ddpm version", "ddpm version --json"}},
    [](CommandLine& line) -> std::function<int()> {
      return [&line] {
        if (line.output().json) {
          print_json({{"git", git_json()}, {"build", build_json()}});
        } else {
          fmt::print("ddpm {} ({})\n", program_version(), git_describe());
        }
        return kExitOk;
      };
    }};

}  // namespace ddpm

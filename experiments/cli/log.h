// Messages to people, on stderr: spdlog's default logger, so that any code may call spdlog::info
// and its kin. The progress line steps aside for each message.
#pragma once

#include <string>

#include "experiments/cli/progress.h"

namespace ddpm {

// `verbosity`: negative shows errors only, 0 information, positive details. `progress` may be null
// and must otherwise live until close_log().
void open_log(int verbosity, bool color, Progress* progress);
// Appends to this file what was logged so far (its end, if it was much) and all that follows,
// details included. A run's folder is only known once the run has made it.
void log_to_file(const std::string& path);
void close_log();

}  // namespace ddpm

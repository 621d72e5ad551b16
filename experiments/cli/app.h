// ddpm, the program: finds the command, runs it, turns what it throws into a message and an exit
// code. Results go to stdout, everything else to stderr.
#pragma once

#include <string>
#include <vector>

namespace ddpm {

// The arguments without the program's name; returns the exit code. Never throws.
int run_app(const std::vector<std::string>& arguments);

}  // namespace ddpm

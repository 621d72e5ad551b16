// "Did you mean ...?" for keys, names and commands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ddpm {

// Insertions, deletions, substitutions and swaps of neighbours that turn one word into the other
// (optimal string alignment).
int edit_distance(std::string_view a, std::string_view b);

// " Did you mean 'x'?" for the closest candidate within two edits (one for words of up to three
// letters), else for the only one that `name` starts or that starts `name`; "" if there is none.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace ddpm

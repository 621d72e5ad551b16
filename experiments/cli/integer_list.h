// Lists on the command line: "0-4,7" -> 0 1 2 3 4 7, "1,2.5" -> 1 2.5, and "a,b" -> a b.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ddpm {

// `option` is named in the UserError. Empty text is an empty list.
std::vector<int64_t> parse_integer_list(std::string_view option, const std::string& text);
std::vector<double> parse_number_list(std::string_view option, const std::string& text);
// Empty names are left out.
std::vector<std::string> split_names(const std::string& list);

}  // namespace ddpm

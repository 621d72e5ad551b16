#include "experiments/cli/integer_list.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "framework/core/check.h"

namespace ddpm {

std::vector<int64_t> parse_integer_list(std::string_view option, const std::string& text) {
  constexpr int64_t kMostValues = 10000;
  std::vector<int64_t> values;
  const auto bad = [&](std::string_view why) {
    fail_user("option {} needs a list such as 0-4,7, found '{}'{}", option, text, why);
  };
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto integer = [&] {
    int64_t value = 0;
    const auto [stop, error] = std::from_chars(at, end, value);
    if (error != std::errc() || value < 0) bad("");
    at = stop;
    return value;
  };
  while (at != end) {
    const int64_t first = integer();
    int64_t last = first;
    if (at != end && *at == '-') {
      ++at;
      last = integer();
    }
    if (last < first) bad(": a range must rise");
    if (last - first >= kMostValues) bad(": too many values");
    for (int64_t value = first; value <= last; ++value) values.push_back(value);
    if (at == end) break;
    if (*at++ != ',' || at == end) bad("");
  }
  std::vector<int64_t> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) bad(": a value is twice");
  return values;
}

std::vector<double> parse_number_list(std::string_view option, const std::string& text) {
  std::vector<double> values;
  for (const std::string& word : split_names(text)) {
    double value = 0;
    const char* const end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data(), end, value);
    DDPM_CHECK(error == std::errc() && stop == end && std::isfinite(value),
               "option {} needs a list such as 1,2.5, found '{}'", option, text);
    values.push_back(value);
  }
  return values;
}

std::vector<std::string> split_names(const std::string& list) {
  std::vector<std::string> names;
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    if (end > begin) names.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

}  // namespace ddpm

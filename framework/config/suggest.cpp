// See suggest.h.
#include "framework/config/suggest.h"

#include <fmt/format.h>

#include <algorithm>

namespace ddpm {

int edit_distance(std::string_view a, std::string_view b) {
  const size_t n = a.size(), m = b.size();
  std::vector<std::vector<int>> d(n + 1, std::vector<int>(m + 1));
  for (size_t i = 0; i <= n; ++i) d[i][0] = static_cast<int>(i);
  for (size_t j = 0; j <= m; ++j) d[0][j] = static_cast<int>(j);
  for (size_t i = 1; i <= n; ++i) {
    for (size_t j = 1; j <= m; ++j) {
      d[i][j] =
          std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[n][m];
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
  // Distances are quadratic in the length; no name of ours is this long.
  if (name.empty() || name.size() > 100) return "";
  const std::string* best = nullptr;
  int best_distance = name.size() <= 3 ? 2 : 3;
  for (const std::string& candidate : candidates) {
    const int distance = edit_distance(name, candidate);
    if (distance >= best_distance) continue;
    best = &candidate;
    best_distance = distance;
  }
  if (!best && name.size() >= 2) {
    for (const std::string& candidate : candidates) {
      if (!candidate.starts_with(name) && !(candidate.size() >= 2 && name.starts_with(candidate))) {
        continue;
      }
      if (best) return "";  // ambiguous
      best = &candidate;
    }
  }
  return best ? fmt::format(" Did you mean '{}'?", *best) : "";
}

}  // namespace ddpm

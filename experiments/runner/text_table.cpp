#include "experiments/runner/text_table.h"

#include <algorithm>

namespace ddpm {

size_t character_count(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string text_table(const std::vector<std::vector<std::string>>& rows, bool has_rule,
                       const std::function<bool(size_t column)>& is_left) {
  std::vector<size_t> widths(rows[0].size());
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], character_count(row[i]));
  std::string text;
  const auto add_line = [&](std::string line) {
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line, rule;
    for (size_t i = 0; i < widths.size(); ++i) {
      const std::string& cell = rows[r][i];
      const std::string padding(widths[i] - character_count(cell), ' ');
      line += (is_left(i) ? cell + padding : padding + cell) + "  ";
      rule += std::string(widths[i], '-') + "  ";
    }
    add_line(line);
    if (r == 0 && has_rule) add_line(rule);
  }
  return text;
}

}  // namespace ddpm

// Tables as aligned text.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace ddpm {

// Characters, not bytes, of UTF-8.
size_t character_count(std::string_view text);

// Rows of equal length, the first of them the head; a column is flush left where `is_left` says so.
// With a rule, dashes lie under the head.
std::string text_table(const std::vector<std::vector<std::string>>& rows, bool has_rule,
                       const std::function<bool(size_t column)>& is_left);

}  // namespace ddpm

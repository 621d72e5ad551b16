// What the terminal behind a stream can do: width, colour, block characters.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

namespace ddpm {

bool is_terminal(std::FILE* stream);
// COLUMNS, or what the terminal says, or 80.
int terminal_width(std::FILE* stream);
// Whether the locale of the environment (LC_ALL, LC_CTYPE, LANG) writes UTF-8.
bool locale_is_utf8();

// `choice` is "auto", "always" or "never". auto: a terminal that is not dumb, and NO_COLOR is empty
// or unset (no-color.org).
bool wants_color(std::string_view choice, std::FILE* stream);

enum class Style { kBold, kRed, kYellow };
std::string styled(std::string_view text, Style style, bool color);

}  // namespace ddpm

// Writing HTML safely: everything that comes from a file passes through one of these.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

namespace ddpm {

// For text and quoted attributes. Bytes that are not UTF-8 become U+FFFD, control characters go.
std::string escape_html(std::string_view text);
// For a script element: no "<" can end it or open a comment.
std::string script_json(const nlohmann::ordered_json& json);
std::string base64(std::span<const std::byte> bytes);

}  // namespace ddpm

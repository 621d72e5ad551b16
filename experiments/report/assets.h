// Files that are part of the program (assets.cmake).
#pragma once

#include <string_view>

namespace ddpm {

std::string_view chart_js();
std::string_view chart_js_license();
std::string_view report_js();
std::string_view report_css();

}  // namespace ddpm

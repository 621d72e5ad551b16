#include "experiments/report/assets.h"

// The assembler reads the file, so a script of 200 kB costs no compile time.
#define DDPM_EMBED(name, path)                                                   \
  __asm__(".pushsection .rodata\n" #name "_begin:\n.incbin \"" path "\"\n" #name \
          "_end:\n"                                                              \
          ".popsection\n");                                                      \
  extern "C" const char name##_begin[], name##_end[]

DDPM_EMBED(ddpm_chart_js, DDPM_CHART_JS);
DDPM_EMBED(ddpm_chart_js_license, DDPM_ASSETS "/chart_license.txt");
DDPM_EMBED(ddpm_report_js, DDPM_ASSETS "/report.js");
DDPM_EMBED(ddpm_report_css, DDPM_ASSETS "/report.css");

namespace ddpm {

std::string_view chart_js() { return {ddpm_chart_js_begin, ddpm_chart_js_end}; }
std::string_view chart_js_license() {
  return {ddpm_chart_js_license_begin, ddpm_chart_js_license_end};
}
std::string_view report_js() { return {ddpm_report_js_begin, ddpm_report_js_end}; }
std::string_view report_css() { return {ddpm_report_css_begin, ddpm_report_css_end}; }

}  // namespace ddpm

// HTML tables, and numbers as text.
#pragma once

#include <string>
#include <vector>

#include "experiments/report/study_folder.h"

namespace ddpm::report {

// A table under construction; captions and titles are escaped, cells are finished HTML.
class Table {
 public:
  struct Column {
    std::string title;
    const char* style = "";  // "number", "number paper", "wrap"
  };
  struct Group {
    std::string title;
    size_t columns;
  };

  explicit Table(const std::string& caption = "");  // stands above it, as wide as the page
  void head(const std::vector<Column>& columns, const std::vector<Group>& groups = {});
  // The first cell heads the row.
  void row(const std::vector<std::string>& cells);
  std::string finish() const { return html_ + "</tbody></table></div>\n"; }

 private:
  std::string html_;
  std::vector<Column> columns_;
};

inline constexpr const char* kNone = "–";

std::string number_text(double value);         // five digits; kNone where it is not finite
std::string json_html(const Json& value);      // a string as it is, anything else as JSON
std::string id_html(const std::string& name);  // in the type of code

// Over the seeds of one variant; std is of the sample (n - 1), NaN below two values.
struct Spread {
  int64_t n = 0;
  double mean = 0, std = 0, min = 0, max = 0;
};
Spread spread_of(const std::vector<double>& values);
// "12.31 ± 0.42": as many digits as the deviation makes meaningful.
std::string format_spread(const Spread& spread);
// The digits that an uncertainty of that size makes meaningful.
std::string format_rounded(double value, double uncertainty);
// "12.10 to 12.52", in the same way.
std::string format_interval(double low, double high);

}  // namespace ddpm::report

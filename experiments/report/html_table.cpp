#include "experiments/report/html_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "experiments/report/html.h"

namespace ddpm::report {
namespace {

// Decimals that show two digits of a number of that size.
int decimals_of(double size) { return 1 - static_cast<int>(std::floor(std::log10(size))); }

}  // namespace

Table::Table(const std::string& caption) {
  if (!caption.empty()) html_ = "<p class=\"caption\">" + escape_html(caption) + "</p>";
  html_ += "<div class=\"scroll\"><table>";
}

void Table::head(const std::vector<Column>& columns, const std::vector<Group>& groups) {
  columns_ = columns;
  html_ += "<thead>";
  if (!groups.empty()) {
    html_ += "<tr class=\"groups\">";
    for (const Group& group : groups)
      html_ += fmt::format("<th colspan=\"{}\" scope=\"colgroup\">{}</th>", group.columns,
                           escape_html(group.title));
    html_ += "</tr>";
  }
  html_ += "<tr>";
  for (const Column& column : columns)
    html_ += fmt::format("<th scope=\"col\" class=\"{}\">{}</th>", column.style,
                         escape_html(column.title));
  html_ += "</tr></thead><tbody>\n";
}

void Table::row(const std::vector<std::string>& cells) {
  html_ += "<tr>";
  for (size_t i = 0; i < cells.size(); ++i)
    html_ += i == 0 ? fmt::format("<th scope=\"row\">{}</th>", cells[i])
                    : fmt::format("<td class=\"{}\">{}</td>", columns_[i].style, cells[i]);
  html_ += "</tr>\n";
}

std::string number_text(double value) {
  if (!std::isfinite(value)) return kNone;
  const bool is_count = std::trunc(value) == value && std::abs(value) < 1e15;
  return is_count ? fmt::format("{:.0f}", value) : fmt::format("{:.5g}", value);
}

std::string json_html(const Json& value) {
  if (value.is_null()) return kNone;
  if (value.is_string()) return escape_html(value.get<std::string>());
  return escape_html(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::string id_html(const std::string& name) {
  return "<span class=\"id\">" + escape_html(name) + "</span>";
}

Spread spread_of(const std::vector<double>& values) {
  Spread spread{.n = std::ssize(values), .mean = NAN, .std = NAN, .min = NAN, .max = NAN};
  if (values.empty()) return spread;
  const double n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (double v : values) sum += v;
  spread.mean = sum / n;
  for (double v : values) squares += (v - spread.mean) * (v - spread.mean);
  if (values.size() > 1) spread.std = std::sqrt(squares / (n - 1));
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  spread.min = *min, spread.max = *max;
  return spread;
}

std::string format_spread(const Spread& spread) {
  if (spread.n == 0) return kNone;
  if (!(spread.std > 0)) {
    const char* deviation = spread.n > 1 ? " ± 0" : "";
    return number_text(spread.mean) + deviation;
  }
  const int decimals = decimals_of(spread.std);
  if (decimals > 6) return fmt::format("{:.5g} ± {:.1e}", spread.mean, spread.std);
  const int shown = std::max(decimals, 0);
  return fmt::format("{:.{}f} ± {:.{}f}", spread.mean, shown, spread.std, shown);
}

std::string format_rounded(double value, double uncertainty) {
  if (!std::isfinite(value) || !(uncertainty > 0)) return number_text(value);
  const int decimals = decimals_of(uncertainty);
  return decimals > 6 ? number_text(value) : fmt::format("{:.{}f}", value, std::max(decimals, 0));
}

std::string format_interval(double low, double high) {
  if (!std::isfinite(low) || !std::isfinite(high)) return kNone;
  if (!(low < high)) return number_text(low);
  return format_rounded(low, high - low) + " to " + format_rounded(high, high - low);
}

}  // namespace ddpm::report

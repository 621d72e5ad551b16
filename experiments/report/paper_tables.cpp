#include "experiments/report/paper_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "experiments/report/charts.h"
#include "experiments/report/html.h"
#include "experiments/report/html_table.h"
#include "experiments/report/selection.h"

namespace ddpm::report {
namespace {

std::string title_html(const Json& spec) {
  return "<h3>" + escape_html(text_at(spec, "title")) + "</h3>";
}

// "columns" maps the paper's names to metrics; a row has the paper's values, and a variant if it
// was run here.
std::string metrics_table(const StudyFiles& study, const Json& spec) {
  Table table;
  std::vector<Table::Column> head = {{"Model"}};
  std::vector<Table::Group> groups = {{"", 1}};
  const Json& columns = at(spec, "columns");
  for (const auto& [name, metric] : columns.items()) {
    const std::string measured = metric.is_string() ? metric.get<std::string>() : "";
    groups.push_back({name, 2});
    head.push_back({measured, "number"});
    head.push_back({"paper", "number paper"});
  }
  table.head(head, groups);
  for (const Json& row : at(spec, "rows")) {
    std::vector<std::string> cells = {escape_html(text_at(row, "label"))};
    for (const auto& [name, metric] : columns.items()) {
      const std::vector<double> values =
          values_of(study, text_at(row, "variant"), metric.is_string() ? metric : "");
      cells.push_back(format_spread(spread_of(values)));
      cells.push_back(json_html(at(at(row, "paper"), name)));
    }
    table.row(cells);
  }
  return title_html(spec) + table.finish();
}

// Table 4 has five decimals, also where they are zeros.
std::string decimals_html(const Json& value) {
  return value.is_number() ? fmt::format("{:.5f}", value.get<double>()) : kNone;
}

// After `share` of the reverse process: rate and error of a run, or NaN.
struct RatePoint {
  double rate = NAN, rmse = NAN;
};
RatePoint rate_point(const Points& curve, double share) {
  if (curve.empty()) return {};
  const double last = static_cast<double>(curve.size());
  const size_t steps = static_cast<size_t>(std::clamp(std::round(share * last), 1.0, last));
  return {curve[steps - 1].first, curve[steps - 1].second};
}

// Rows give the paper's rate and error after so many of its reverse steps; ours are those after the
// same share of the chain.
std::string rate_distortion_table(const StudyFiles& study, const Json& spec) {
  const Json& source = at(spec, "rate_distortion");
  const std::string variant = text_at(source, "variant"), split = text_at(source, "split"),
                    variance = text_at(source, "variance");
  Table table(
      fmt::format("Here: {}, {} split, {} variance.", study.label(variant), split, variance));
  table.head({{"Reverse steps in the paper"},
              {"here", "number"},
              {"paper", "number paper"},
              {"here", "number"},
              {"paper", "number paper"}},
             {{"", 1}, {"Rate (bits/dim)", 2}, {"RMSE (0 to 255)", 2}});
  double paper_steps = 0;
  for (const Json& row : at(spec, "rows"))
    paper_steps = std::max(paper_steps, number_at(row, "steps"));
  bool measured = false;
  for (const Json& row : at(spec, "rows")) {
    std::vector<double> rates, errors;
    for (const RunFiles* run : runs_of(study, variant)) {
      const RatePoint point = rate_point(rate_distortion_curve(*run, split, variance),
                                         number_at(row, "steps") / paper_steps);
      if (run->status != "completed" || !std::isfinite(point.rate)) continue;
      rates.push_back(point.rate), errors.push_back(point.rmse);
      measured = true;
    }
    table.row({json_html(at(row, "steps")), format_spread(spread_of(rates)),
               decimals_html(at(row, "rate")), format_spread(spread_of(errors)),
               decimals_html(at(row, "rmse"))});
  }
  return title_html(spec) + table.finish() +
         (measured
              ? ""
              : "<p class=\"muted\">The rate after a step is the sum of all terms before it: it "
                "needs every timestep (evaluation.timesteps_per_image = 0).</p>\n");
}

}  // namespace

std::string paper_tables(const StudyFiles& study) {
  std::string html;
  for (const Json& spec : at(study.study, "tables"))
    html += at(spec, "rate_distortion").is_object() ? rate_distortion_table(study, spec)
                                                    : metrics_table(study, spec);
  return html;
}

}  // namespace ddpm::report

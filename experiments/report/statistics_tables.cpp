#include "experiments/report/statistics_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "experiments/report/html.h"
#include "experiments/report/html_table.h"
#include "experiments/report/selection.h"

namespace ddpm::report {
namespace {

struct Ends {
  double low = NAN, high = NAN;
};

Ends interval_at(const Json& object, const char* key) {
  const Json& ends = at(object, key);
  if (!ends.is_array() || ends.size() != 2 || !ends[0].is_number() || !ends[1].is_number())
    return {};
  return {ends[0].get<double>(), ends[1].get<double>()};
}

// A dot with its interval over a line at zero; all of a table have one scale.
class IntervalPlot {
 public:
  explicit IntervalPlot(const Json& comparisons) {
    for (const Json& c : comparisons) {
      const Ends ends = interval_at(c, "ci95");
      for (double x : {number_at(c, "delta_mean"), ends.low, ends.high})
        if (std::isfinite(x)) low_ = std::min(low_, x), high_ = std::max(high_, x);
    }
  }
  std::string draw(const Json& comparison) const {
    const double mean = number_at(comparison, "delta_mean");
    const Ends ends = interval_at(comparison, "ci95");
    std::string svg = fmt::format(
        "<svg class=\"interval\" viewBox=\"0 0 {0} 16\" aria-hidden=\"true\">"
        "<line class=\"zero\" x1=\"{1}\" x2=\"{1}\" y1=\"0\" y2=\"16\"/>",
        kWidth, place(0));
    if (std::isfinite(ends.low))
      svg += fmt::format("<line class=\"reach\" x1=\"{}\" x2=\"{}\" y1=\"8\" y2=\"8\"/>",
                         place(ends.low), place(ends.high));
    if (std::isfinite(mean))
      svg += fmt::format("<circle cx=\"{}\" cy=\"8\" r=\"3.5\"/>", place(mean));
    return svg + "</svg>";
  }

 private:
  static constexpr double kWidth = 140, kMargin = 6;
  std::string place(double x) const {
    const double span = high_ > low_ ? high_ - low_ : 1;
    return fmt::format("{:.1f}", kMargin + (kWidth - 2 * kMargin) * (x - low_) / span);
  }
  double low_ = 0, high_ = 0;
};

std::string p_text(double p) {
  if (!std::isfinite(p)) return kNone;
  return p < 1e-4 ? "&lt; 0.0001" : fmt::format("{:.2g}", p);
}

std::string count_html(const Json& n) {
  if (n.is_array() && n.size() == 2) return json_html(n[0]) + " / " + json_html(n[1]);
  return json_html(n);
}

// The one claim of all comparisons, or "".
std::string common_claim(const Json& comparisons) {
  std::string common;
  for (const Json& c : comparisons) {
    const std::string claim = text_at(c, "claim");
    if (!common.empty() && claim != common) return "";
    common = claim;
  }
  return common;
}

std::string metric_table(const StudyFiles& study, const std::string& metric) {
  const Json& comparisons = at(at(study.summary, "comparisons"), metric);
  const std::string baseline = text_at(study.summary, "baseline");
  const std::string claim = common_claim(comparisons);
  Table table;
  std::vector<Table::Column> head = {{"Variant"},
                                     {"n", "number"},
                                     {"mean", "number"},
                                     {"95 % interval", "number"},
                                     {"mean", "number"},
                                     {"95 % interval", "number"},
                                     {""},
                                     {"p", "number"},
                                     {"Holm p", "number"}};
  std::vector<Table::Group> groups = {
      {"", 1}, {"Over seeds", 3}, {"Difference to the baseline", 5}};
  if (claim.empty()) {
    head.push_back({"What follows", "wrap"});
    groups.push_back({"", 1});
  }
  table.head(head, groups);
  const IntervalPlot plot(comparisons);
  for (const std::string& variant : study.variants) {
    const Json& m = at(at(at(at(study.summary, "variants"), variant), "metrics"), metric);
    if (!m.is_object()) continue;
    const Ends mean = interval_at(m, "ci95");
    std::vector<std::string> cells = {escape_html(study.label(variant)), count_html(at(m, "n")),
                                      format_rounded(number_at(m, "mean"), mean.high - mean.low),
                                      format_interval(mean.low, mean.high)};
    const Json& c = at(comparisons, variant);
    if (c.is_object()) {
      const Ends delta = interval_at(c, "ci95");
      const double p = number_at(c, at(c, "p_signflip").is_null() ? "p_permutation" : "p_signflip");
      for (const std::string& cell :
           {format_rounded(number_at(c, "delta_mean"), delta.high - delta.low),
            format_interval(delta.low, delta.high), plot.draw(c), p_text(p),
            p_text(number_at(c, "holm_p")), escape_html(text_at(c, "claim"))})
        cells.push_back(cell);
    } else {
      cells.push_back(variant == baseline ? "baseline" : "no run to compare");
    }
    cells.resize(head.size());
    table.row(cells);
  }
  std::string html = "<h3>" + id_html(metric) + arrow(study, metric) + "</h3>" + table.finish();
  if (!claim.empty()) html += "<p>" + escape_html(claim) + ".</p>\n";
  return html;
}

// How pairs were made, as the summary says.
std::string method(const Json& comparisons) {
  bool paired = false, unpaired = false;
  for (const Json& metric : comparisons)
    for (const Json& c : metric) (at(c, "seeds_paired") == true ? paired : unpaired) = true;
  std::string text = "<p>Differences are variant minus baseline. ";
  if (paired)
    text +=
        "Runs of one seed drew the same random numbers in both arms, so they are compared in "
        "pairs: "
        "bootstrap (BCa) intervals of the paired differences, exact sign-flip p. ";
  if (unpaired)
    text +=
        "Arms that drew their own random numbers are compared as independent samples: Welch's "
        "intervals, permutation p. ";
  return text + "Holm's adjustment is over the variants of one table.</p>\n";
}

}  // namespace

std::string comparison_tables(const StudyFiles& study) {
  const Json& comparisons = at(study.summary, "comparisons");
  if (!comparisons.is_object()) return "";
  std::string html;
  for (const std::string& metric : table_columns(study))
    if (at(comparisons, metric).is_object()) html += metric_table(study, metric);
  return html.empty() ? "" : method(comparisons) + html;
}

std::string over_training_table(const StudyFiles& study) {
  Table table(
      "The paper reports the best FID of a training run. The best of several noisy evaluations is "
      "lower than what another evaluation of the same weights would find, so both are here.");
  table.head({{"Run"},
              {"Metric"},
              {"Last", "number"},
              {"Best", "number"},
              {"At step", "number"},
              {"Of evaluations", "number"}});
  bool any = false;
  for (const std::string& name : table_columns(study)) {
    const std::string best = name + "_best";
    for (const RunFiles& run : study.runs) {
      const Json& metrics = at(run.result, "metrics");
      const Json& info = at(at(run.result, "metric_info"), best);
      if (run.status != "completed" || !at(metrics, best).is_number()) continue;
      any = true;
      table.row({escape_html(run.label()), id_html(name), number_text(number_at(metrics, name)),
                 number_text(number_at(metrics, best)), json_html(at(info, "step")),
                 json_html(at(info, "best_of"))});
    }
  }
  return any ? table.finish() : "";
}

}  // namespace ddpm::report

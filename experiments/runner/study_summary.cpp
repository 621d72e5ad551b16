#include "experiments/runner/study_summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "experiments/runner/resampling.h"
#include "experiments/runner/result.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

// Of a claim, after Holm's adjustment.
constexpr double kLevel = 0.05;

struct Measured {
  std::vector<double> values;
  std::vector<int64_t> seeds;
  std::vector<std::string> streams;  // of random numbers, see ExperimentConfig
};
using Metrics = std::map<std::string, Measured>;

Metrics metrics_of(const Json& results, const std::string& variant) {
  Metrics metrics;
  for (const Json& result : results) {
    if (result["variant"] != variant || result["status"] != "completed") continue;
    for (const auto& [name, value] : result["metrics"].items()) {
      if (!value.is_number()) continue;
      metrics[name].values.push_back(value);
      metrics[name].seeds.push_back(result["seed"]);
      metrics[name].streams.push_back(result["config"].value("stream", ""));
    }
  }
  return metrics;
}

Json statuses_of(const Json& results, const std::string& variant) {
  Json statuses = Json::object();
  for (const Json& result : results)
    if (result["variant"] == variant) {
      const std::string status = result["status"];
      statuses[status] = statuses.value(status, 0) + 1;
    }
  return statuses;
}

struct Comparison {
  Json json = {};
  double p = 1, smallest_p = 1;  // that it found, and that so few runs could find
  std::string runs = {};         // "3 pairs"
};

Json to_json(const Interval& interval) {
  const Json low = finite_or_null(interval.low);
  return low.is_null() ? Json() : Json({low, finite_or_null(interval.high)});
}

Comparison compare_pairs(const Measured& variant, const Measured& baseline) {
  std::vector<double> deltas;
  std::vector<int64_t> seeds;
  for (size_t i = 0; i < variant.seeds.size(); ++i)
    for (size_t k = 0; k < baseline.seeds.size(); ++k)
      if (variant.seeds[i] == baseline.seeds[k]) {
        deltas.push_back(variant.values[i] - baseline.values[k]);
        seeds.push_back(variant.seeds[i]);
      }
  const int64_t n = std::ssize(deltas);
  Comparison c{.p = sign_flip_p(deltas), .smallest_p = smallest_sign_flip_p(n)};
  c.runs = fmt::format("{} pair{}", n, n == 1 ? "" : "s");
  c.json = {{"n", n},
            {"delta_mean", summarise(deltas).value("mean", Json())},
            {"ci95", to_json(bca_interval(deltas))},
            {"ci_method", "bca"},
            {"p_signflip", c.p},
            {"holm_p", nullptr},
            {"seeds_paired", true},
            {"claim", ""},
            {"deltas", deltas},
            {"seeds", seeds}};
  return c;
}

Comparison compare_samples(const Measured& variant, const Measured& baseline) {
  const std::vector<double>&a = variant.values, &b = baseline.values;
  Comparison c{.p = permutation_p(a, b),
               .smallest_p = smallest_permutation_p(std::ssize(a), std::ssize(b))};
  c.runs = fmt::format("{} and {} runs", a.size(), b.size());
  c.json = {{"n", {a.size(), b.size()}},
            {"delta_mean", summarise(a)["mean"].get<double>() - summarise(b)["mean"].get<double>()},
            {"ci95", to_json(welch_interval(a, b))},
            {"ci_method", "welch"},
            {"p_permutation", c.p},
            {"holm_p", nullptr},
            {"seeds_paired", false},
            {"claim", ""}};
  return c;
}

// Pairs are pairs only if their arms drew the same random numbers.
bool are_paired(const Measured& variant, const Measured& baseline) {
  for (const std::string& stream : variant.streams)
    for (const std::string& other : baseline.streams)
      if (stream != other) return false;
  return true;
}

std::string claim(const Comparison& c, double holm_p, size_t tests) {
  const double delta = c.json["delta_mean"];
  if (holm_p <= kLevel)
    return fmt::format("{} than the baseline (Holm p = {:.2g})", delta < 0 ? "lower" : "higher",
                       holm_p);
  const double reachable = std::min(1.0, static_cast<double>(tests) * c.smallest_p);
  if (reachable <= kLevel) return fmt::format("no difference shown (Holm p = {:.2g})", holm_p);
  std::string text = fmt::format("n too small to claim: of {} the smallest two-sided p is {:.2g}",
                                 c.runs, c.smallest_p);
  if (tests > 1) text += fmt::format(", {:.2g} after Holm over {} comparisons", reachable, tests);
  return text;
}

// Of one metric: every variant that has it against the baseline.
Json compare(const StudyFile& study, const std::map<std::string, Metrics>& measured,
             const std::string& metric) {
  const auto& base = measured.at(study.baseline);
  std::vector<std::string> names;
  std::vector<Comparison> comparisons;
  std::vector<double> p;
  for (const StudyVariant& variant : study.variants) {
    const Metrics& metrics = measured.at(variant.name);
    if (variant.name == study.baseline || !metrics.contains(metric)) continue;
    const Measured &a = metrics.at(metric), &b = base.at(metric);
    Comparison c = are_paired(a, b) ? compare_pairs(a, b) : compare_samples(a, b);
    if (c.json["delta_mean"].is_null()) continue;  // no seed in common
    names.push_back(variant.name);
    p.push_back(c.p);
    comparisons.push_back(std::move(c));
  }
  const std::vector<double> adjusted = holm(p);
  Json json = Json::object();
  for (size_t i = 0; i < names.size(); ++i) {
    comparisons[i].json["holm_p"] = adjusted[i];
    comparisons[i].json["claim"] = claim(comparisons[i], adjusted[i], names.size());
    json[names[i]] = std::move(comparisons[i].json);
  }
  return json;
}

}  // namespace

Json summarise_study(const StudyFile& study, const Json& results) {
  std::map<std::string, Metrics> measured;
  Json variants = Json::object(), comparisons = Json::object();
  for (const StudyVariant& variant : study.variants) {
    const Metrics& metrics = measured[variant.name] = metrics_of(results, variant.name);
    Json summaries = Json::object();
    for (const auto& [name, m] : metrics) {
      summaries[name] = summarise(m.values, study.interval);
      summaries[name]["seeds"] = m.seeds;
    }
    variants[variant.name] = {{"label", variant.label},
                              {"status", statuses_of(results, variant.name)},
                              {"metrics", summaries}};
  }
  for (const auto& [metric, base] : measured.at(study.baseline)) {
    Json compared = compare(study, measured, metric);
    if (!compared.empty()) comparisons[metric] = std::move(compared);
  }
  return {{"schema", "ddpm.summary/1"},
          {"study", study.name},
          {"baseline", study.baseline},
          {"variants", variants},
          {"comparisons", comparisons}};
}

}  // namespace ddpm

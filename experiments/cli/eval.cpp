// ddpm eval: the metrics of a trained run.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/cli/command.h"
#include "experiments/cli/integer_list.h"
#include "experiments/runner/evaluate.h"
#include "experiments/runner/run_folder.h"

namespace ddpm {
namespace {

struct EvalOptions {
  EvaluateRequest request;
  std::string metrics, progress = "auto";
};

// split  variance  x_0  images  bits/dim ± se  L_T  rate  distortion  RMSE
void print_bounds(const nlohmann::ordered_json& likelihood) {
  const auto number = [](const nlohmann::ordered_json& value, const char* format) {
    return value.is_number() ? fmt::format(fmt::runtime(format), value.get<double>()) : "-";
  };
  fmt::print("{:<6} {:<12} {:<10} {:>7}  {:<18} {:>9}  {:<18} {:<18} {:>8}\n", "split", "variance",
             "x_0", "images", "bits/dim", "L_T", "rate", "distortion", "RMSE");
  for (const auto& [name, split] : likelihood["split"].items()) {
    for (const bool clip : {true, false}) {
      const auto& side = clip ? split : split["unclipped"];
      for (const auto& bound : side["bounds"]) {
        const auto estimate = [&, &b = bound](const std::string& key) {
          return number(b[key], "{:.4f}") + " ± " + number(b[key + "_se"], "{:.4f}");
        };
        fmt::print("{:<6} {:<12} {:<10} {:>7}  {:<18} {:>9}  {:<18} {:<18} {:>8}\n", name,
                   bound["variance"].get<std::string>(), clip ? "clipped" : "unclipped",
                   split["images"].get<int64_t>(), estimate("total"),
                   number(split["prior"], "{:.2e}"), estimate("rate"), estimate("distortion"),
                   number(side["rmse"][0], "{:.4f}"));
      }
    }
    const auto& estimator = split["estimator"];
    fmt::print("       bias: {}.\n       ±: one standard error {}.\n",
               estimator["bias"].get<std::string>(),
               estimator["standard_error"].get<std::string>());
  }
}

// Of the likelihood under the probability flow: what it is, which depends on how it was made.
std::string about_flow(const nlohmann::ordered_json& info) {
  const bool exact = info["divergence"] == "exact";
  return fmt::format(
      "N = {}, {} dequantisation, divergence {}, {:.0f} evaluations an image", info["n"].dump(),
      info["dequantisation"].get<std::string>(),
      exact ? std::string("exact")
            : fmt::format("of {} probes (± {})", info["probes"].dump(),
                          info["hutchinson_se"].is_number()
                              ? fmt::format("{:.2g}", info["hutchinson_se"].get<double>())
                              : "?"),
      info["evaluations_per_image"].get<double>());
}

// "N = 10000, against 50000 train images", of what was measured on samples.
std::string counts(const nlohmann::ordered_json& info) {
  if (info.contains("divergence")) return about_flow(info);
  if (!info.contains("n_gen")) return "";
  std::string text = fmt::format("N = {}", info["n_gen"].dump());
  if (!info.contains("n_ref")) return text;
  const std::string reference = info["reference"];
  const std::string count =
      info["n_ref"].is_number() ? info["n_ref"].dump() : std::string("an unknown number of");
  return text + fmt::format(", against {} images of {}", count, reference);
}

int run_eval(const EvalOptions& options, const OutputOptions& output) {
  Session session(output, options.progress);
  EvaluateRequest request = options.request;
  request.progress = &session.progress;
  request.metrics = split_names(options.metrics);
  const RunStatus status = evaluate(request);
  if (status == RunStatus::kDiverged)
    spdlog::error("'{}' diverged: its samples are no images", request.run);
  const auto result = RunFolder::open(request.run).read_json("result.json");
  if (output.json) {
    print_json(result);
  } else if (result.contains("metrics")) {
    const bool nll =
        request.metrics.empty() ||
        std::find(request.metrics.begin(), request.metrics.end(), "nll") != request.metrics.end();
    if (const RunFolder folder = RunFolder::open(request.run);
        nll && std::filesystem::exists(folder.file("likelihood.json")))
      print_bounds(folder.read_json("likelihood.json"));
    const auto infos = result.value("metric_info", nlohmann::ordered_json::object());
    for (const auto& [name, value] : result["metrics"].items())
      fmt::print("{:<28} {:<24} {}\n", name, value.dump(),
                 counts(infos.value(name, nlohmann::ordered_json::object())));
    for (const auto& [name, info] : infos.items())
      if (info.contains("missing"))
        fmt::print("{:<28} {:<24} {}\n", name, "-", info["missing"].get<std::string>());
  }
  return exit_code(status);
}

}  // namespace

const Command kEvalCommand = {
    {"eval",
     "RUN [options] [a.b=v ...]",
     "Measures a trained run and prints its metrics. It computes the variational bound and, with "
     "evaluation.samples, distances between samples and data: in the features of the data's own "
     "extractor (fd_..., kid_...), and with Inception's weights FID, sFID, IS, KID, precision and "
     "recall. Bound and features are saved on the way: the same command goes on where it stopped.",
     {"ddpm eval runs/cosine", "ddpm eval runs/cosine evaluation.samples=10000 --json",
      "ddpm eval runs/cosine --metrics nll --timesteps 50 evaluation.test_images=10000",
      "ddpm eval runs/cosine --metrics nll,nll_ode evaluation.ode_rtol=1e-4",
      "ddpm eval runs/cifar --metrics samples evaluation.samples=50000 --inception weights.pth",
      "ddpm eval runs/cifar evaluation.samples=50000 --inception weights.pth --statistics ref.npz"},
     "the run's result.json, likelihood.json and samples/ are updated; likelihood/ holds passes, "
     "features/ reference statistics"},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<EvalOptions>();
      line.positional("RUN", options->request.run, true, "a run folder");
      line.text("--metrics", options->metrics, "NAMES",
                "separated by commas: nll (the bound and all its parts), nll_ode (the likelihood "
                "under the probability flow), samples (distances and ranges); default: as far as "
                "evaluation.* asks for them");
      line.shorthand("--timesteps", "evaluation.timesteps_per_image", "N",
                     "evaluate each image at N timesteps only, without bias; 0: all");
      line.shorthand(
          "--inception", "evaluation.inception_weights", "FILE",
          "weights of pytorch-fid's or torch-fidelity's Inception-v3: .pth, safetensors");
      line.shorthand("--resize", "evaluation.inception_resize", "NAME",
                     "of images for Inception: tf, pytorch or clean");
      line.shorthand("--statistics", "evaluation.inception_statistics", "FILE",
                     "an .npz with mu and sigma instead of reference images");
      line.text("--checkpoint", options->request.checkpoint, "FILE", "instead of the newest");
      line.assignments(options->request.overrides);
      line.shorthand("--device", "device", "NAME", "auto, cpu or cuda");
      line.shorthand("--precision", "precision", "NAME", "f32 or bf16");
      line.shorthand("--threads", "threads", "N", "0: all processors");
      bind_progress(line, options->progress);
      return [options, &line] { return run_eval(*options, line.output()); };
    }};

}  // namespace ddpm

#include "experiments/runner/feature_run.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "experiments/metrics/inception_space.h"
#include "experiments/runner/interrupt.h"
#include "experiments/runner/sampling.h"
#include "experiments/runner/saved_work.h"
#include "framework/io/sha256.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

// What a pass over images of the data itself depends on.
Json reference_key(const LoadedRun& run, const FeatureSpace& space, const Split& split) {
  return {{"format", SavedWork::kFormat},
          {"space", space_id(space)},
          {"images", split.count},
          {"image_shape", fmt::format("{}", run.model->image_shape)},
          {"data", run.folder.read_json("config.json")["data"]},
          {"classes", run.config->sampling.classes},
          {"sha256", {run.dataset.train.data_sha256, run.dataset.test.data_sha256}},
          {"split", run.config->evaluation.reference}};
}

FeatureSummary reference_of_split(const LoadedRun& run, const FeatureSpace& space,
                                  const Split& split, ProgressSink* progress) {
  const std::string& name = run.config->evaluation.reference;
  DDPM_CHECK(split.count >= 2, "data '{}': its {} split has {} images, distances need 2",
             run.dataset.name, name, split.count);
  if (!space.is_inception()) return summarise(space, split, run.model->image_shape);
  SavedWork saved(run, name + "-" + space.name(), reference_key(run, space, split));
  const std::string kept = saved.finished(".npz");
  if (std::filesystem::exists(kept)) return read_statistics(kept, space);
  FeaturePass pass(space, split.count);
  if (const auto file = saved.load()) pass.restore(*file, "/reference");
  const auto write = [&](Hdf5Writer& file) { pass.save(file, "/reference"); };
  const int64_t batch = run.config->evaluation.batch_size;
  if (progress) progress->begin("features of " + name + " images", split.count, pass.seen());
  while (pass.seen() < split.count) {
    const int64_t size = std::min(batch, split.count - pass.seen());
    pass.add(space.features(slice(split, run.model->image_shape, pass.seen(), size)));
    if (progress) progress->update(pass.seen());
    if (pass.seen() == split.count) break;  // kept below; sampling hears the signal
    const bool stop = interrupt_signal() != 0;
    saved.save(stop, write);
    if (stop)
      throw Interrupted(
          fmt::format("stopped: the features of {} of {} {} images are saved; the same command "
                      "goes on there",
                      pass.seen(), split.count, name));
  }
  if (progress) progress->end();
  const FeatureSummary summary = pass.summary();
  std::filesystem::create_directories(std::filesystem::path(kept).parent_path());
  write_statistics(kept, summary, space);
  saved.remove();
  spdlog::info("{} holds the statistics of the {} images; evaluation.inception_statistics takes it",
               kept, name);
  return summary;
}

// The samples drawn so far, in every space.
class SamplePass {
 public:
  SamplePass(const LoadedRun& run, const Sampler& sampler, const std::string& label, int64_t shown,
             const std::vector<ReferencedSpace>& spaces, ProgressSink* progress)
      : run_(run),
        sampler_(sampler),
        spaces_(spaces),
        progress_(progress),
        shown_values_(std::min(shown, count()) * run.model->image_shape.numel()),
        range_(value_bound(run.dataset)),
        saved_(run, "samples", key(label)) {
    for (const ReferencedSpace& s : spaces) passes_.emplace_back(*s.space, count(), s.frechet);
    right_.resize(spaces.size());
  }

  MeasuredSamples execute() {
    if (const auto file = saved_.load()) restore(*file);
    const int64_t batch = run_.config->sampling.batch_size;
    try {
      stream_samples(*run_.model, sampler_, run_.config->seed, seen_, count() - seen_, batch,
                     progress_, [&](const std::vector<float>& samples) { add(samples); });
    } catch (const Interrupted&) {
      if (seen_ == 0)
        throw Interrupted("stopped before the first samples; the same command begins with them");
      saved_.save(true, [&](Hdf5Writer& file) { save(file); });
      throw Interrupted(fmt::format(
          "stopped: {} of {} samples are measured and saved; the same command goes on there", seen_,
          count()));
    }
    saved_.remove();
    MeasuredSamples measured{range_.range(), std::move(shown_), {}};
    if (!measured.range.diverged())
      for (size_t i = 0; i < spaces_.size(); ++i) {
        FeatureComparison& comparison = measured.comparisons.emplace_back(
            *spaces_[i].space, passes_[i].summary(), spaces_[i].reference, *spaces_[i].frechet);
        if (right_[i])
          comparison.class_accuracy = static_cast<double>(*right_[i]) / static_cast<double>(seen_);
      }
    return measured;
  }

 private:
  int64_t count() const { return run_.config->evaluation.samples; }

  // Of everything that the pass depends on; it keeps as many images as it shows.
  Json key(const std::string& label) const {
    Json references = Json::array();
    for (const ReferencedSpace& s : spaces_)
      references.push_back(
          {space_id(*s.space),
           sha256_hex(std::as_bytes(std::span(s.reference.statistics.covariance)))});
    return {{"format", SavedWork::kFormat}, {"run", identity_json(run_)},
            {"settings", run_.settings},    {"label", label},
            {"shown", shown_values_},       {"references", references}};
  }

  void add(const std::vector<float>& samples) {
    range_.add(samples);
    const auto missing = std::min(shown_values_ - std::ssize(shown_), std::ssize(samples));
    shown_.insert(shown_.end(), samples.begin(), samples.begin() + missing);
    const Split images = as_images(samples, run_.dataset);
    // A value that is not finite is divergence: there will be nothing to compare.
    if (range_.range().nonfinite == 0)
      for (size_t i = 0; i < spaces_.size(); ++i) {
        const ImageFeatures features = spaces_[i].space->features(images);
        passes_[i].add(features);
        count_right(i, features);
      }
    seen_ += images.count;
    if (seen_ < count()) saved_.save(false, [&](Hdf5Writer& file) { save(file); });
  }

  // Samples that look like the class that was asked for.
  void count_right(size_t space, const ImageFeatures& features) {
    const std::vector<int32_t> asked =
        run_.model->drawn_classes(seen_, features.features.shape()[0]);
    if (asked.empty()) return;
    const std::vector<int32_t> found = spaces_[space].space->classify(features.features);
    if (found.empty()) return;
    right_[space] = right_[space].value_or(0) + count_equal(asked, found);
  }

  static std::string group(size_t space) { return fmt::format("/space_{}", space); }

  void save(Hdf5Writer& file) const {
    const std::vector<double> range = range_.state();
    file.set_integer("/", "seen", seen_);
    file.array<double>("/range", {static_cast<int64_t>(range.size())}, range);
    file.array<float>("/shown", {static_cast<int64_t>(shown_.size())}, shown_);
    for (size_t i = 0; i < passes_.size(); ++i) {
      passes_[i].save(file, group(i));
      if (right_[i]) file.set_integer(group(i), "right", *right_[i]);
    }
  }
  void restore(const Hdf5Reader& file) {
    seen_ = file.integer("/", "seen");
    range_.restore(file.read<double>("/range", file.info("/range").shape));
    shown_ = file.read<float>("/shown", file.info("/shown").shape);
    for (size_t i = 0; i < passes_.size(); ++i) {
      passes_[i].restore(file, group(i));
      if (file.has_attribute(group(i), "right")) right_[i] = file.integer(group(i), "right");
    }
    spdlog::info("goes on after {} of {} samples", seen_, count());
  }

  const LoadedRun& run_;
  const Sampler& sampler_;
  const std::vector<ReferencedSpace>& spaces_;
  ProgressSink* progress_;
  int64_t shown_values_;
  std::vector<FeaturePass> passes_;
  SampleRangeAccumulator range_;
  SavedWork saved_;
  std::vector<float> shown_;
  std::vector<std::optional<int64_t>> right_;  // of each space: images of the class asked for
  int64_t seen_ = 0;
};

}  // namespace

Split as_images(const std::vector<float>& samples, const Dataset& dataset) {
  Split split;
  split.count = static_cast<int64_t>(samples.size()) / dataset.image_shape.numel();
  if (dataset.levels > 0)
    split.pixels = quantise(samples, dataset.levels);
  else
    split.values = samples;
  return split;
}

std::vector<std::unique_ptr<FeatureSpace>> feature_spaces(const LoadedRun& run) {
  const EvaluationOptions& options = run.config->evaluation;
  std::vector<std::unique_ptr<FeatureSpace>> spaces;
  if (auto extractor = extractor_of(run))
    spaces.push_back(std::make_unique<ExtractorSpace>(std::move(extractor), run.dataset));
  if (!options.inception_weights.empty())
    spaces.push_back(std::make_unique<InceptionSpace>(
        options.inception_weights, parse_inception_resize(options.inception_resize), run.dataset,
        run.model->process.device()));
  else
    DDPM_CHECK(options.inception_statistics.empty(),
               "evaluation.inception_statistics is '{}', but evaluation.inception_weights names no "
               "network to compare samples with it",
               options.inception_statistics);
  return spaces;
}

std::vector<ReferencedSpace> add_references(const LoadedRun& run,
                                            std::vector<std::unique_ptr<FeatureSpace>> spaces,
                                            ProgressSink* progress) {
  const EvaluationOptions& options = run.config->evaluation;
  const Split& all = options.reference == "test" ? run.dataset.test : run.dataset.train;
  const std::vector<int64_t>& classes = run.config->sampling.classes;
  std::optional<Split> some;
  if (!classes.empty()) some = of_classes(all, run.model->image_shape, classes);
  const Split& split = some ? *some : all;
  std::vector<ReferencedSpace> referenced;
  for (std::unique_ptr<FeatureSpace>& space : spaces) {
    FeatureSummary reference = space->is_inception() && !options.inception_statistics.empty()
                                   ? read_statistics(options.inception_statistics, *space)
                                   : reference_of_split(run, *space, split, progress);
    const auto frechet = std::make_shared<const FrechetReference>(reference.statistics);
    referenced.push_back({std::move(space), std::move(reference), frechet});
  }
  return referenced;
}

MeasuredSamples measure_samples(const LoadedRun& run, const Sampler& sampler,
                                const std::string& label, int64_t shown,
                                const std::vector<ReferencedSpace>& spaces,
                                ProgressSink* progress) {
  return SamplePass(run, sampler, label, shown, spaces, progress).execute();
}

}  // namespace ddpm

// Progressive quality (DDPM figure 10): how far the estimates of x_0 are from the data as the
// reverse process goes on, and in Inception's space their score.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "experiments/figures/figure.h"
#include "experiments/figures/steps.h"
#include "experiments/runner/feature_run.h"
#include "experiments/runner/interrupt.h"
#include "experiments/runner/sampling.h"
#include "experiments/runner/saved_work.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

// The features of the estimates after one number of steps, in one space.
struct Gathered {
  Gathered(const FeatureSpace& space, int64_t images) : statistics(space.dimension()) {
    constexpr int64_t kSplits = 10;
    if (space.logit_count() > 0 && images >= kSplits)
      score.emplace(images, space.logit_count(), kSplits);
  }
  void add(const ImageFeatures& of_images) {
    statistics.add(of_images.features);
    if (score) score->add(of_images.logits);
  }

  FeatureAccumulator statistics;
  std::optional<InceptionScore> score;
};

// The estimates that `images` samples pass through after every one of the `shown` numbers of steps.
// They are forgotten batch by batch; the work is saved as that of measure_samples().
class EstimatePass {
 public:
  EstimatePass(const LoadedRun& run, const std::vector<ReferencedSpace>& spaces,
               const std::vector<int64_t>& shown, int64_t images)
      : run_(run),
        spaces_(spaces),
        shown_(shown),
        images_(images),
        gathered_(shown.size()),
        batch_(shown.size()),
        saved_(run, "estimates", key()) {
    for (std::vector<Gathered>& of_spaces : gathered_)
      for (const ReferencedSpace& s : spaces) of_spaces.emplace_back(*s.space, images);
    if (const auto file = saved_.load()) restore(*file);
  }

  void execute(ProgressSink* progress) {
    if (seen_ == images_) return;
    stream_samples(
        *run_.model, *run_.config->sampler, run_.config->seed, seen_, images_ - seen_,
        run_.config->sampling.batch_size, progress, [&](const auto&) { take_batch(); },
        [&](int64_t done, const ReverseChain& chain) { observe(done, chain); });
    save(true);  // distances in thousands of dimensions take a while
  }
  // After a signal.
  [[noreturn]] void stop() {
    if (seen_ == 0)
      throw Interrupted("stopped before the first samples; the same command begins with them");
    save(true);
    throw Interrupted(fmt::format(
        "stopped: the estimates of {} of {} samples are saved; the same command goes on there",
        seen_, images_));
  }
  void forget() const { saved_.remove(); }

  // gathered()[i][k]: after shown[i] steps, in spaces[k].
  const std::vector<std::vector<Gathered>>& gathered() const { return gathered_; }

 private:
  Json key() const {
    Json spaces = Json::array();
    for (const ReferencedSpace& s : spaces_) spaces.push_back(space_id(*s.space));
    return {{"format", SavedWork::kFormat},
            {"run", identity_json(run_)},
            {"settings", run_.settings},
            {"shown", shown_},
            {"images", images_},
            {"spaces", spaces}};
  }

  void observe(int64_t done, const ReverseChain& chain) {
    const auto found = std::find(shown_.begin(), shown_.end(), done);
    if (found == shown_.end()) return;
    const std::vector<float> estimates = chain.x0().to_host<float>();
    DDPM_CHECK(
        std::all_of(estimates.begin(), estimates.end(), [](float x) { return std::isfinite(x); }),
        "{}: after {} steps some estimates of x_0 are not finite and have no distance",
        run_.folder.path(), done);
    std::vector<ImageFeatures>& of_spaces = batch_[static_cast<size_t>(found - shown_.begin())];
    of_spaces.clear();
    for (const ReferencedSpace& s : spaces_)
      of_spaces.push_back(s.space->features(as_images(estimates, run_.dataset)));
  }

  // A batch counts once it has gone all its steps.
  void take_batch() {
    for (size_t i = 0; i < shown_.size(); ++i)
      for (size_t k = 0; k < spaces_.size(); ++k) gathered_[i][k].add(batch_[i][k]);
    seen_ = gathered_[0][0].statistics.count();
    if (seen_ < images_) save(false);
  }

  void save(bool now) {
    saved_.save(now, [&](Hdf5Writer& file) {
      file.set_integer("/", "seen", seen_);
      const auto numbers = [&](const std::string& name, const std::vector<double>& values) {
        file.array<double>(name, {static_cast<int64_t>(values.size())}, values);
      };
      for_each([&](const std::string& group, const Gathered& gathered) {
        file.group(group);
        numbers(group + "/statistics", gathered.statistics.state());
        if (gathered.score) numbers(group + "/score", gathered.score->state());
      });
    });
  }
  void restore(const Hdf5Reader& file) {
    seen_ = file.integer("/", "seen");
    const auto numbers = [&](const std::string& name) {
      return file.read<double>(name, file.info(name).shape);
    };
    for_each([&](const std::string& group, Gathered& gathered) {
      gathered.statistics.restore(numbers(group + "/statistics"));
      if (gathered.score) gathered.score->restore(numbers(group + "/score"));
    });
  }
  template <class F>
  void for_each(const F& f) {
    for (size_t i = 0; i < shown_.size(); ++i)
      for (size_t k = 0; k < spaces_.size(); ++k)
        f(fmt::format("/step_{}_space_{}", shown_[i], k), gathered_[i][k]);
  }

  const LoadedRun& run_;
  const std::vector<ReferencedSpace>& spaces_;
  std::vector<int64_t> shown_;
  int64_t images_, seen_ = 0;
  std::vector<std::vector<Gathered>> gathered_;
  std::vector<std::vector<ImageFeatures>> batch_;  // of the samples that are on their way
  SavedWork saved_;
};

// A metric's values over the numbers of steps.
struct Curve {
  std::string metric, axis;
  std::vector<double> values;
};

std::vector<Curve> curves_of(const EstimatePass& pass, const std::vector<ReferencedSpace>& spaces,
                             ProgressSink* progress) {
  Ticker ticker(progress, "distances", std::ssize(pass.gathered()) * std::ssize(spaces));
  std::vector<Curve> curves;
  for (size_t k = 0; k < spaces.size(); ++k) {
    const std::string space = spaces[k].space->name();
    const bool is_inception = spaces[k].space->is_inception();
    Curve distance{is_inception ? "fid[" + space + "]" : "fd_" + space, "Frechet distance", {}};
    Curve score{"is[" + space + "]", "Inception Score", {}};
    for (const std::vector<Gathered>& of_spaces : pass.gathered()) {
      const Gathered& gathered = of_spaces[k];
      distance.values.push_back(spaces[k].frechet->distance(gathered.statistics.statistics()));
      if (gathered.score) score.values.push_back(gathered.score->result().mean);
      ticker.tick();
    }
    curves.push_back(std::move(distance));
    if (!score.values.empty()) curves.push_back(std::move(score));
  }
  return curves;
}

class ProgressiveQualityFigure final : public Figure {
 public:
  explicit ProgressiveQualityFigure(const Config& config)
      : images_(config.integer("images", 1000, 2, kMaxInteger, "samples")),
        points_(config.integer("points", 20, 2, 1000, "of the reverse process")) {}

  void draw(const FigureContext& context) const override {
    const LoadedRun& run = context.run;
    auto named = feature_spaces(run);
    DDPM_CHECK(!named.empty(), "figure progressive_quality: {}",
               missing_extractor_message(run.dataset.name, run.dataset.image_shape));
    const auto spaces = add_references(run, std::move(named), context.progress);
    const std::vector<Sampler::Visit> visited = run.config->sampler->visits(run.model->process);
    const std::vector<int64_t> shown = evenly_spaced(1, std::ssize(visited), points_);
    EstimatePass pass(run, spaces, shown, images_);
    std::vector<Curve> curves;
    try {
      pass.execute(context.progress);
      curves = curves_of(pass, spaces, context.progress);
    } catch (const Interrupted&) {
      pass.stop();
    }

    std::vector<Panel> panels;
    std::vector<std::vector<std::string>> rows;
    std::string last;
    for (const Curve& curve : curves) {
      Series series{.label = curve.metric};
      for (size_t i = 0; i < shown.size(); ++i) {
        series.points.emplace_back(shown[i], curve.values[i]);
        rows.push_back({std::to_string(shown[i]),
                        depth_of(visited[static_cast<size_t>(shown[i] - 1)]), curve.metric,
                        csv_number(curve.values[i])});
      }
      last +=
          fmt::format("{} {} {:.4g}", last.empty() ? "" : ",", curve.metric, curve.values.back());
      panels.push_back({.title = curve.metric,
                        .x = "reverse process steps",
                        .y = curve.axis,
                        .log_y = true,
                        .series = {series}});
    }
    context.files.chart(
        {.title = "Progressive quality",
         .caption = fmt::format("The estimates of x_0 of {} samples, as images, while the reverse "
                                "process goes on. The last ones are the samples:{}.",
                                images_, last),
         .source = references(run, spaces)},
        panels);
    context.files.csv({"reverse_steps", "t", "metric", "value"}, rows);
    pass.forget();
  }

 private:
  // "In digits1 against 1500 images."
  static std::string references(const LoadedRun& run, const std::vector<ReferencedSpace>& spaces) {
    std::string text;
    for (const ReferencedSpace& s : spaces) {
      const int64_t count = s.reference.statistics.count;
      const std::string& file = run.config->evaluation.inception_statistics;
      text += fmt::format("{}In {} against {}.", text.empty() ? "" : " ", s.space->name(),
                          count > 0 ? fmt::format("{} images", count) : file);
    }
    return text;
  }

  int64_t images_, points_;
};

}  // namespace

std::unique_ptr<Figure> make_progressive_quality_figure(const Config& config) {
  return std::make_unique<ProgressiveQualityFigure>(config);
}

}  // namespace ddpm

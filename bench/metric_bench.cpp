// What scores of images cost: the features of Inception and of a shipped extractor, all statistics
// of these features (moments, Inception Score, kept rows) beside them, and a Frechet distance of
// 2048 features.
//
//   metric_bench                                 # Inception on batches of 16
//   metric_bench --batch 32 --device cuda --json
//
// bench/peers/pytorch_inception.py times Inception in PyTorch.
#include <fmt/format.h>

#include <algorithm>

#include "bench/random_tensor.h"
#include "bench/report.h"
#include "experiments/metrics/feature_summary.h"
#include "framework/core/pool.h"
#include "layers/inception.h"

namespace ddpm::bench {
namespace {

constexpr int64_t kImages = 256;  // that statistics are gathered of at a time

// Random features of kImages images in a space like Inception's, or of an extractor.
class RandomSpace : public FeatureSpace {
 public:
  explicit RandomSpace(int64_t dimension) : dimension_(dimension) {
    all_.features = random_tensor({kImages, dimension}, DType::kF32, Device::kCpu, 1);
    if (!is_inception()) return;
    all_.logits = random_tensor({kImages, logit_count()}, DType::kF32, Device::kCpu, 2);
    all_.spatial = random_tensor({kImages, spatial_dimension()}, DType::kF32, Device::kCpu, 3);
  }
  bool is_inception() const override { return dimension_ == Inception::kFeatures; }
  std::string name() const override { return "random"; }
  std::string weights_sha256() const override { return ""; }
  int64_t dimension() const override { return dimension_; }
  int64_t logit_count() const override { return is_inception() ? Inception::kClasses : 0; }
  int64_t spatial_dimension() const override {
    return is_inception() ? Inception::kSpatialFeatures : 0;
  }
  ImageFeatures features(const Split&) const override { return all_; }

 private:
  int64_t dimension_;
  ImageFeatures all_;
};

class Run {
 public:
  Run(const CommonOptions& options, int64_t batch)
      : options_(options),
        batch_(batch),
        report_(options, fmt::format("{:<22} {:>7} {:>12} {:>12} {:>8}", "work", "images",
                                     "median ms", "ms an image", "healthy")) {}

  void execute() {
    const double inception = time_inception();
    add_ratio("Inception", inception, time_statistics("its statistics", Inception::kFeatures));
    const auto digits = shipped_extractor("digits", {8, 8, 1}, options_.device());
    const Tensor images = random_tensor({kImages, 8, 8, 1}, DType::kF32, options_.device(), 5);
    const double extractor =
        time("digits1", kImages, [&] { digits->features(images).to_host<float>(); });
    add_ratio("digits1", extractor, time_statistics("its statistics", digits->dimension()));
    time_distance();
    report_.finish();
  }

 private:
  // Seconds an image.
  double time(const std::string& work, int64_t images, const std::function<void()>& run) {
    const Timing timing = time_calls(run, options_.timing);
    const double each = timing.seconds / static_cast<double>(images);
    Json figure = {{"work", work}, {"images", images}};
    figure.update(timing_json(timing));
    report_.add(fmt::format("{:<22} {:>7} {:>12.3f} {:>12.4f} {:>6}/{}", work, images,
                            1e3 * timing.seconds, 1e3 * each, timing.healthy, timing.samples),
                std::move(figure));
    return each;
  }

  void add_ratio(const std::string& network, double forward, double statistics) {
    const double ratio = (forward + statistics) / forward;
    report_.add(fmt::format("{:<22} {:.4f} times the features alone", network + " in all", ratio),
                {{"work", network + " with statistics, over features alone"}, {"ratio", ratio}});
  }

  double time_inception() {
    Parameters parameters;
    const Inception network{Scope(parameters)};
    parameters.allocate(DType::kF32, options_.device(), /*seed=*/0);
    const std::shared_ptr<Pool> pool = Pool::create(options_.device());
    const PoolScope scope(pool);
    const Tensor x = random_tensor({batch_, Inception::kSide, Inception::kSide, 3}, DType::kF32,
                                   options_.device(), 4);
    return time("Inception", batch_, [&] { network(x); });
  }

  double time_statistics(const std::string& work, int64_t dimension) {
    const RandomSpace space(dimension);
    const ImageFeatures features = space.features({});
    constexpr int64_t kCount = int64_t{1} << 31;  // more than any budget allows
    FeaturePass pass(space, kCount);
    InceptionScore score(kCount, std::max<int64_t>(space.logit_count(), 1));
    return time(work, kImages, [&] {
      pass.add(features);
      if (features.logits) score.add(features.logits);
    });
  }

  void time_distance() {
    const int64_t count = 2 * Inception::kFeatures;
    const FeatureStatistics a(
        random_tensor({count, Inception::kFeatures}, DType::kF32, Device::kCpu, 6));
    const FeatureStatistics b(
        random_tensor({count, Inception::kFeatures}, DType::kF32, Device::kCpu, 7));
    time("distance of 2048", 1, [&] { frechet_distance(a, b); });
  }

  const CommonOptions& options_;
  int64_t batch_;
  Report report_;
};

}  // namespace
}  // namespace ddpm::bench

int main(int argc, char** argv) {
  CLI::App app("Times what scores of images are made of.");
  ddpm::bench::CommonOptions options;
  int64_t batch = 16;
  add_options(app, options);
  app.add_option("--batch", batch, "images that Inception sees at a time")
      ->check(CLI::Range(1, 1024));
  return ddpm::bench::run_program(app, argc, argv,
                                  [&] { ddpm::bench::Run(options, batch).execute(); });
}

// Nearest neighbours (DDPM appendix D): samples beside the training images that are closest to
// them, in pixels and in the features of the extractor for the data. A model that copies would show
// it.
#include <algorithm>
#include <cmath>

#include "experiments/figures/figure.h"
#include "experiments/runner/sampling.h"
#include "framework/cpu/parallel.h"

namespace ddpm {
namespace {

// Rows of `dimension` numbers.
struct Points {
  std::vector<float> values;
  int64_t dimension;
  int64_t count() const { return static_cast<int64_t>(values.size()) / dimension; }
  const float* row(int64_t i) const { return &values[static_cast<size_t>(i * dimension)]; }
};

struct Neighbour {
  double distance;  // root of the mean square difference
  int64_t index;
};

std::vector<Neighbour> nearest(const float* point, const Points& set, int64_t count) {
  std::vector<Neighbour> all(static_cast<size_t>(set.count()));
  cpu::parallel_ranges(set.count(), 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double squares = 0;
      for (int64_t d = 0; d < set.dimension; ++d) {
        const double delta = static_cast<double>(point[d]) - set.row(i)[d];
        squares += delta * delta;
      }
      all[static_cast<size_t>(i)] = {std::sqrt(squares / static_cast<double>(set.dimension)), i};
    }
  });
  std::partial_sort(all.begin(), all.begin() + count, all.end(),
                    [](const Neighbour& a, const Neighbour& b) {
                      return std::pair(a.distance, a.index) < std::pair(b.distance, b.index);
                    });
  all.resize(static_cast<size_t>(count));
  return all;
}

double median_distance(const Points& points, const Points& set) {
  std::vector<double> distances;
  for (int64_t i = 0; i < points.count(); ++i)
    distances.push_back(nearest(points.row(i), set, 1)[0].distance);
  const auto middle = distances.begin() + static_cast<ptrdiff_t>(distances.size() / 2);
  std::nth_element(distances.begin(), middle, distances.end());
  return *middle;
}

class NearestNeighboursFigure final : public Figure {
 public:
  explicit NearestNeighboursFigure(const Config& config)
      : images_(config.integer("images", 8, 1, 256, "rows of samples")),
        neighbours_(config.integer("neighbours", 5, 1, 64, "of each, in each space")),
        compared_(config.integer("compared", 100, 1, 1 << 20,
                                 "samples and held-out images whose median distance is compared")) {
  }

  void draw(const FigureContext& context) const override {
    const LoadedRun& run = context.run;
    const Split& train = run.dataset.train;
    DDPM_CHECK(neighbours_ <= train.count, "figure.neighbours: {} of {} training images",
               neighbours_, train.count);
    const int64_t size = run.model->image_shape.numel();
    const auto extractor = extractor_of(run);
    const int64_t spaces = extractor ? 2 : 1;
    PictureGrid grid = picture_grid(run, images_, 1 + spaces * neighbours_);
    const int64_t drawn = std::max(images_, compared_);
    std::vector<float> samples =
        draw_samples(*run.model, *run.config->sampler, run.config->seed, 0, drawn,
                     run.config->sampling.batch_size, context.progress);
    for (float& x : samples) x = std::clamp(x, -1.0F, 1.0F);

    const Points pixels = pixels_of(run, train);
    const Points sampled{samples, size};
    std::vector<std::vector<std::string>> rows;
    std::string medians;
    for (int64_t space = 0; space < spaces; ++space) {
      const auto in_space = [&](const Points& images) {
        return space == 0 ? images : features_of(*extractor, run, images);
      };
      const char* name = space == 0 ? "pixels" : "features";
      const Points training = in_space(pixels), points = in_space(sampled);
      for (int64_t i = 0; i < images_; ++i) {
        const std::vector<Neighbour> found = nearest(points.row(i), training, neighbours_);
        for (int64_t k = 0; k < neighbours_; ++k) {
          const Neighbour& neighbour = found[static_cast<size_t>(k)];
          place(grid, i, 1 + space * neighbours_ + k, pixels.row(neighbour.index));
          rows.push_back({std::to_string(i), name, std::to_string(k + 1),
                          std::to_string(neighbour.index), csv_number(neighbour.distance)});
        }
        if (space == 0) place(grid, i, 0, sampled.row(i));
      }
      if (run.dataset.test.count > 0) {
        const Points held_out = in_space(first_of(pixels_of(run, run.dataset.test), compared_));
        medians += fmt::format(
            " Median distance to the nearest training image in {}: {:.3g} from {} samples, {:.3g} "
            "from {} held-out images.",
            name, median_distance(first_of(points, compared_), training), compared_,
            median_distance(held_out, training), held_out.count());
      }
    }
    finish(context, grid, extractor ? extractor->name() : "", medians);
    context.files.csv({"sample", "space", "rank", "training_image", "distance"}, rows);
  }

 private:
  static Points first_of(const Points& points, int64_t count) {
    const int64_t kept = std::min(count, points.count());
    return {{points.values.begin(), points.values.begin() + kept * points.dimension},
            points.dimension};
  }

  static Points pixels_of(const LoadedRun& run, const Split& split) {
    Points points{{}, run.model->image_shape.numel()};
    constexpr int64_t kBatch = 1024;
    for (int64_t begin = 0; begin < split.count; begin += kBatch) {
      const Tensor images = model_images(run, split, begin, std::min(kBatch, split.count - begin));
      const std::vector<float> values = images.to_host<float>();
      points.values.insert(points.values.end(), values.begin(), values.end());
    }
    return points;
  }

  static Points features_of(const FeatureExtractor& extractor, const LoadedRun& run,
                            const Points& images) {
    Points features{{}, extractor.dimension()};
    constexpr int64_t kBatch = 128;
    for (int64_t begin = 0; begin < images.count(); begin += kBatch) {
      const int64_t count = std::min(kBatch, images.count() - begin);
      const std::vector<float> batch(images.row(begin),
                                     images.row(begin) + count * images.dimension);
      const Tensor x = Tensor::from_host(batch, run.model->image_shape.batch_of(count),
                                         run.model->process.device());
      const std::vector<float> values = extractor.features(x).to_host<float>();
      features.values.insert(features.values.end(), values.begin(), values.end());
    }
    return features;
  }

  void finish(const FigureContext& context, PictureGrid& grid, const std::string& extractor,
              const std::string& medians) const {
    grid.column_labels.assign(static_cast<size_t>(grid.columns), "");
    grid.column_labels[0] = "sample";
    grid.wide_after_column = {0};
    grid.x_axis = extractor.empty() ? "nearest training images in pixels"
                                    : fmt::format(
                                          "nearest training images in pixels, and in the "
                                          "features of {}",
                                          extractor);
    if (!extractor.empty()) grid.wide_after_column.push_back(neighbours_);
    context.files.pictures(
        {.title = "Nearest training images",
         .caption = "A model that had learned its training images by heart would be closer to them "
                    "than other images of the same kind are." +
                    medians},
        grid);
  }

  int64_t images_, neighbours_, compared_;
};

}  // namespace

std::unique_ptr<Figure> make_nearest_neighbours_figure(const Config& config) {
  return std::make_unique<NearestNeighboursFigure>(config);
}

}  // namespace ddpm

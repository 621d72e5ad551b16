// Settings are read in constructors, files in read(): no data set is opened before the whole
// configuration was found right.
#include "data/registry.h"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "data/cifar10.h"
#include "data/digits.h"
#include "data/gaussian_mixture.h"
#include "data/idx.h"
#include "data/image_folder.h"

namespace ddpm {
namespace {

constexpr int64_t kMaxCount = 100'000'000;
constexpr int64_t kMaxValues = int64_t{1} << 30;  // of a synthetic data set: 4 GiB

// "size": 32, [24, 32] or null.
std::vector<int64_t> read_size(const Config& config) {
  const nlohmann::ordered_json size = config.json("size", nlohmann::ordered_json(nullptr),
                                                  "side of the images, or [height, width]");
  const auto is_side = [](const nlohmann::ordered_json& v) {
    return v.is_number_integer() && v >= 1 && v <= kMaxSide;
  };
  if (size.is_null()) return {};
  if (is_side(size)) return {size.get<int64_t>(), size.get<int64_t>()};
  if (size.is_array() && size.size() == 2 && is_side(size[0]) && is_side(size[1]))
    return {size[0].get<int64_t>(), size[1].get<int64_t>()};
  config.error("size", fmt::format("must be a side or [height, width] of 1 to {}, found {}",
                                   kMaxSide, size.dump()));
  return {};
}

Resize read_resize(const Config& config) {
  static const std::map<std::string, Resize> modes = {
      {"none", Resize::kNone},      {"pad", Resize::kPad},           {"nearest", Resize::kNearest},
      {"box", Resize::kBox},        {"bilinear", Resize::kBilinear}, {"bicubic", Resize::kBicubic},
      {"lanczos", Resize::kLanczos}};
  return modes.at(config.choice("resize", "none",
                                {"none", "pad", "nearest", "box", "bilinear", "bicubic", "lanczos"},
                                "how images get that size"));
}

int64_t read_channels(const Config& config) {
  return config.integer("channels", 0, 0, 3, "1: grey, 3: colour, 0: as stored");
}

class Digits final : public DataSource {
 public:
  explicit Digits(const Config& config) : DataSource(config, kDigitsHeldOut) {}

 private:
  Dataset read() const override { return read_digits(); }
};

class Cifar10 final : public DataSource {
 public:
  explicit Cifar10(const Config& config)
      : DataSource(config),
        path_(config.string("path", required,
                            "folder of the binary version, or one file of its records")) {}

 private:
  Dataset read() const override { return read_cifar10(path_); }
  std::string path_;
};

class Mnist final : public DataSource {
 public:
  explicit Mnist(const Config& config)
      : DataSource(config),
        path_(config.string("path", required, "folder of the four IDX files, plain or .gz")) {}

 private:
  Dataset read() const override { return read_mnist(path_); }
  std::string path_;
};

class FashionMnist final : public DataSource {
 public:
  explicit FashionMnist(const Config& config)
      : DataSource(config),
        path_(config.string("path", kFashionMnistFolder,
                            "folder of the four IDX files, plain or .gz")) {}

 private:
  Dataset read() const override {
    DDPM_CHECK(
        std::filesystem::exists(path_),
        "fashion-mnist: there is no '{}'; install Debian's dataset-fashion-mnist or give the "
        "\"path\" of its files",
        path_);
    return read_fashion_mnist(path_);
  }
  std::string path_;
};

class Idx final : public DataSource {
 public:
  explicit Idx(const Config& config)
      : DataSource(config),
        paths_{config.string("images", required, "IDX file of training images, plain or .gz"),
               config.string("labels", "", "its labels"),
               config.string("test_images", "", "IDX file of held-out images"),
               config.string("test_labels", "", "its labels")} {}

 private:
  Dataset read() const override { return read_idx_dataset(paths_); }
  IdxPaths paths_;
};

// Sizes and channels are changed image by image while they are read: the files may differ in both.
class ImageFolder final : public DataSource {
 public:
  explicit ImageFolder(const Config& config)
      : DataSource(config),
        options_{
            .path = config.string("path", required, "folder of PNG and JPEG files"),
            .test_path = config.string("test_path", "", "folder of held-out images"),
            .channels = read_channels(config),
            .size = read_size(config),
            .crop = config.choice("crop", "center", {"center", "none"},
                                  "what a filter changes the size of: the largest centred part "
                                  "of the right aspect ratio, or the whole image") == "center",
            .resize = read_resize(config)} {
    const std::string labels =
        config.choice("labels", "folder", {"folder", "prefix", "none"},
                      "the class: the first folder, or the file's name up to "
                      "its first _");
    const std::string alpha =
        config.choice("alpha", "refuse", {"refuse", "drop", "white", "black"},
                      "transparent pixels: their colour, or laid over white or black");
    options_.labels = labels == "folder"   ? ImageLabels::kFolder
                      : labels == "prefix" ? ImageLabels::kPrefix
                                           : ImageLabels::kNone;
    options_.alpha = alpha == "refuse"  ? Alpha::kRefuse
                     : alpha == "drop"  ? Alpha::kDrop
                     : alpha == "white" ? Alpha::kWhite
                                        : Alpha::kBlack;
  }

 private:
  Dataset read() const override { return read_image_folder(options_); }
  ImageFolderOptions options_;
};

class Mixture final : public DataSource {
 public:
  explicit Mixture(const Config& config)
      : DataSource(config),
        layout_(config.choice("layout", "ring", {"ring", "images", "explicit"},
                              "modes on a circle, smooth random images, or as given")),
        train_(config.integer("train", 50000, 1, kMaxCount, "training points")),
        test_(config.integer("test", 10000, 0, kMaxCount, "held-out points")),
        seed_(config.integer("seed", 0, 0, kMaxInteger,
                             "names the sample and, of images, the means")) {
    if (layout_ == "explicit") {
      weights_ = config.numbers("weights", required, 0, 1, "of the K modes", Exclude::kMin);
      means_ = config.numbers("means", required, -kMaxNumber, kMaxNumber,
                              "K times D numbers, mode after mode");
      deviations_ = config.numbers("deviations", required, 0, kMaxNumber,
                                   "K numbers, or K times D numbers", Exclude::kMin);
      return;
    }
    modes_ = config.integer("modes", 8, 1, 10000, "components of equal weight");
    deviation_ = config.number("deviation", 0.1, 0, kMaxNumber, "standard deviation of a mode",
                               Exclude::kMin);
    if (layout_ == "ring")
      radius_ = config.number("radius", 1, 0, kMaxNumber, "of the circle");
    else
      shape_ = config.integers("shape", std::vector<int64_t>{8, 8, 1}, 1, kMaxSide,
                               "height, width and channels");
  }

 private:
  GaussianMixture explicit_mixture() const {
    GaussianMixture m{weights_, means_, {}};
    const size_t modes = weights_.size(), numbers = means_.size();
    const bool isotropic = deviations_.size() == modes;
    DDPM_CHECK(modes > 0 && numbers > 0 && numbers % modes == 0 &&
                   (isotropic || deviations_.size() == numbers),
               "gaussian_mixture: {} weights, {} means and {} deviations do not fit together",
               modes, numbers, deviations_.size());
    for (size_t i = 0; i < numbers; ++i) {
      const double deviation = deviations_[isotropic ? i / (numbers / modes) : i];
      m.variances.push_back(deviation * deviation);
    }
    m.check();
    return m;
  }

  static void check_size(int64_t points, int64_t dimension) {
    DDPM_CHECK(points <= kMaxValues / dimension,
               "gaussian_mixture: {} points of {} numbers are more than the {} numbers allowed",
               points, dimension, kMaxValues);
  }

  Split draw(const GaussianMixture& mixture, int64_t first, int64_t count) const {
    Split split;
    split.count = count;
    split.values = mixture.sample(static_cast<uint64_t>(seed_), first, count);
    split.labels = mixture.sample_components(static_cast<uint64_t>(seed_), first, count);
    return split;
  }

  Dataset read() const override {
    Dataset dataset;
    dataset.name = "gaussian_mixture";
    dataset.levels = 0;
    dataset.source = "drawn from a known law";
    dataset.licence = "none needed";
    dataset.flippable = false;
    if (layout_ == "images") {
      DDPM_CHECK(shape_.size() == 3, "gaussian_mixture: \"shape\" has {} numbers, not 3",
                 shape_.size());
      dataset.image_shape = {shape_[0], shape_[1], shape_[2]};
      check_size(modes_ + train_ + test_, dataset.image_shape.numel());
      dataset.mixture = smooth_image_mixture(modes_, dataset.image_shape, deviation_,
                                             static_cast<uint64_t>(seed_));
    } else {
      dataset.mixture =
          layout_ == "ring" ? ring_mixture(modes_, radius_, deviation_) : explicit_mixture();
      dataset.image_shape = {1, 1, dataset.mixture->dimension()};
      check_size(train_ + test_, dataset.mixture->dimension());
    }
    dataset.train = draw(*dataset.mixture, 0, train_);
    dataset.test = draw(*dataset.mixture, train_, test_);
    for (int64_t k = 0; k < dataset.mixture->components(); ++k)
      dataset.class_names.push_back(fmt::format("mode {}", k));
    return dataset;
  }

  std::string layout_;
  int64_t train_, test_, seed_;
  int64_t modes_ = 0;
  double radius_ = 0, deviation_ = 0;
  std::vector<int64_t> shape_;
  std::vector<double> weights_, means_, deviations_;
};

}  // namespace

DataSource::DataSource(const Config& config, int64_t default_holdout)
    : size_(read_size(config)),
      resize_(read_resize(config)),
      channels_(read_channels(config)),
      limit_(config.integer("limit", 0, 0, kMaxCount, "keep so many training images, 0: all")),
      holdout_(config.integer("holdout", default_holdout, 0, kMaxCount,
                              "hold out so many images of data that come without a test split")),
      flip_(config.boolean("flip", false, "mirror training images at random")) {}

Dataset DataSource::load() const {
  Dataset dataset = read();
  DDPM_CHECK(!flip_ || dataset.flippable,
             "data '{}': \"flip\" must be false, a mirrored image is not one of these data",
             dataset.name);
  dataset.flip = flip_;
  if (holdout_ > 0) hold_out(dataset, holdout_);
  fingerprint(dataset.train);
  fingerprint(dataset.test);
  if (limit_ > 0) limit(dataset, limit_);
  if (!size_.empty()) resize(dataset, size_[0], size_[1], resize_);
  if (channels_ > 0) convert_channels(dataset, channels_);
  return dataset;
}

const Registry<DataSource>& datasets() {
  static const Registry<DataSource> registry(
      "data set",
      {
          {"digits", "1,797 embedded 8x8 handwritten digits, 17 grey levels",
           factory<DataSource, Digits>()},
          {"fashion-mnist", "70,000 28x28 grey images of clothes (Debian: dataset-fashion-mnist)",
           factory<DataSource, FashionMnist>()},
          {"mnist", "70,000 28x28 grey handwritten digits", factory<DataSource, Mnist>()},
          {"idx", "any images in IDX files", factory<DataSource, Idx>()},
          {"cifar10", "60,000 32x32 colour images, binary version", factory<DataSource, Cifar10>()},
          {"image_folder", "PNG and JPEG files, classes by folder",
           factory<DataSource, ImageFolder>()},
          {"gaussian_mixture", "synthetic points or images with a known density",
           factory<DataSource, Mixture>()},
      });
  return registry;
}

}  // namespace ddpm

#include "experiments/runner/edit_inputs.h"

#include <algorithm>
#include <filesystem>

#include "framework/core/check.h"
#include "framework/io/png.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> png_files(const std::string& path) {
  DDPM_CHECK(fs::exists(path), "--images {}: there is no such file or folder", path);
  if (!fs::is_directory(path)) return {path};
  std::vector<std::string> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(path))
    if (entry.path().extension() == ".png") files.push_back(entry.path().string());
  DDPM_CHECK(!files.empty(), "--images {}: there is no .png file in it", path);
  std::sort(files.begin(), files.end());
  return files;
}

void append_file(const LoadedRun& run, const std::string& file, std::vector<float>& images) {
  const Shape& shape = run.model->image_shape;
  DDPM_CHECK(run.dataset.levels > 0, "--images {}: data of continuous values {} are no images",
             file, shape);
  const Image image = read_png(file);
  DDPM_CHECK(image.shape == shape, "--images {}: {} (H, W, C); the run's images are {}", file,
             image.shape, shape);
  const int top = run.dataset.levels - 1;
  for (const uint8_t byte : image.pixels) {
    const int level = (byte * top + 127) / 255;
    images.push_back(static_cast<float>(2.0 * level / top - 1));
  }
}

}  // namespace

std::vector<float> EditInputs::rows(int64_t begin, int64_t rows, int64_t copies) const {
  const int64_t size = std::ssize(images) / count;
  std::vector<float> all;
  for (int64_t row = begin; row < begin + rows; ++row) {
    const auto image = images.begin() + row / copies * size;
    all.insert(all.end(), image, image + size);
  }
  return all;
}

EditInputs read_edit_inputs(const LoadedRun& run, const std::string& path, const std::string& split,
                            int64_t first, int64_t count) {
  EditInputs inputs{.first = first, .count = count, .images = {}, .labels = {}};
  const auto check_range = [&](int64_t available, const std::string& where) {
    DDPM_CHECK(first <= available - count, "--first {} --count {}: {} has {} images, 0 to {}",
               first, count, where, available, available - 1);
  };
  if (!path.empty()) {
    const std::vector<std::string> files = png_files(path);
    check_range(std::ssize(files), path);
    for (int64_t i = first; i < first + count; ++i)
      append_file(run, files[static_cast<size_t>(i)], inputs.images);
    return inputs;
  }
  const Split& from = split == "test" ? run.dataset.test : run.dataset.train;
  DDPM_CHECK(from.count > 0, "--split {}: data '{}' have no such images", split, run.dataset.name);
  check_range(from.count, fmt::format("the split '{}' of data '{}'", split, run.dataset.name));
  inputs.images = model_images(run, from, first, count).to_host<float>();
  if (!from.labels.empty())
    inputs.labels.assign(from.labels.begin() + first, from.labels.begin() + first + count);
  return inputs;
}

}  // namespace ddpm

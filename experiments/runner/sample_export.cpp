#include "experiments/runner/sample_export.h"

#include <filesystem>
#include <span>

#include "experiments/runner/sampling.h"
#include "framework/core/check.h"

namespace ddpm {

SampleExport::SampleExport(std::string out, int64_t count, const Shape& image_shape, int levels,
                           int64_t columns)
    : out_(std::move(out)),
      kind_(out_.ends_with(".png")   ? Kind::kGrid
            : out_.ends_with(".npz") ? Kind::kArchive
                                     : Kind::kFolder),
      count_(count),
      image_shape_(image_shape),
      levels_(levels),
      columns_(columns) {
  const int64_t channels = image_shape[2];
  DDPM_CHECK(levels > 0, "{}: data of continuous values {} are no images", out_, image_shape);
  DDPM_CHECK(kind_ == Kind::kArchive || channels == 1 || channels == 3 || channels == 4,
             "{}: data of shape {} have no picture; an .npz can hold them", out_, image_shape);
  if (kind_ == Kind::kFolder) std::filesystem::create_directories(out_);
  if (kind_ != Kind::kArchive) return;
  archive_ = std::make_unique<NpzWriter>(out_);
  archive_->begin("arr_0", image_shape.batch_of(count), DType::kU8);
}

void SampleExport::add(const std::vector<float>& samples) {
  const int64_t size = image_shape_.numel();
  const int64_t images = static_cast<int64_t>(samples.size()) / size;
  if (kind_ == Kind::kGrid) grid_.insert(grid_.end(), samples.begin(), samples.end());
  if (kind_ == Kind::kArchive)
    archive_->append(std::as_bytes(std::span<const uint8_t>(display_pixels(samples, levels_))));
  for (int64_t i = 0; kind_ == Kind::kFolder && i < images; ++i) {
    const auto begin = samples.begin() + i * size;
    files_.push_back(fmt::format("{}/{:06}.png", out_, written_ + i));
    write_grid(files_.back(), {begin, begin + size}, image_shape_, levels_);
  }
  written_ += images;
}

std::vector<std::string> SampleExport::finish() {
  DDPM_ASSERT(written_ == count_, "{} of {} images", written_, count_);
  if (kind_ == Kind::kFolder) return std::move(files_);
  if (kind_ == Kind::kGrid) write_grid(out_, grid_, image_shape_, levels_, columns_);
  if (kind_ == Kind::kArchive) archive_->commit();
  return {out_};
}

}  // namespace ddpm

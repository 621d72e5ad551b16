// The shipped extractors are bytes of the library: a program finds them wherever it lies.
#include <span>

#include "experiments/metrics/extractor.h"

#define DDPM_EMBED(name, path)                                                               \
  __asm__(".pushsection .rodata\n.balign 16\n" #name "_begin:\n.incbin \"" path "\"\n" #name \
          "_end:\n.popsection\n");                                                           \
  extern "C" const std::byte name##_begin[], name##_end[]

DDPM_EMBED(ddpm_extractor_digits, DDPM_EXTRACTORS "/digits.h5");
DDPM_EMBED(ddpm_extractor_fashion, DDPM_EXTRACTORS "/fashion.h5");
DDPM_EMBED(ddpm_extractor_fashion16, DDPM_EXTRACTORS "/fashion16.h5");

namespace ddpm {
namespace {

struct ShippedFile {
  const char* name;
  std::span<const std::byte> bytes;
};

const ShippedFile kShipped[] = {
    {"shipped digits.h5", {ddpm_extractor_digits_begin, ddpm_extractor_digits_end}},
    {"shipped fashion.h5", {ddpm_extractor_fashion_begin, ddpm_extractor_fashion_end}},
    {"shipped fashion16.h5", {ddpm_extractor_fashion16_begin, ddpm_extractor_fashion16_end}},
};

}  // namespace

std::unique_ptr<FeatureExtractor> shipped_extractor(const std::string& dataset,
                                                    const Shape& image_shape, Device device) {
  for (const ShippedFile& shipped : kShipped) {
    const Hdf5Reader file(shipped.name, shipped.bytes);
    const ExtractorInfo info = read_extractor_info(file);
    if (info.dataset == dataset && info.image_shape == image_shape)
      return std::make_unique<FeatureExtractor>(file, device);
  }
  return nullptr;
}

std::string missing_extractor_message(const std::string& dataset, const Shape& image_shape) {
  std::string known;
  for (const ShippedFile& shipped : kShipped) {
    const ExtractorInfo info = read_extractor_info(Hdf5Reader(shipped.name, shipped.bytes));
    known += fmt::format("{}{} {}", known.empty() ? "" : ", ", info.dataset, info.image_shape);
  }
  return fmt::format(
      "no feature extractor is shipped for data '{}' with images {}, only for {}. Train one with "
      "`ddpm extractor --config FILE.json --out FILE.h5` (see experiments/extractors) and name it "
      "in \"evaluation.extractor\"",
      dataset, image_shape, known);
}

}  // namespace ddpm

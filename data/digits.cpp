// Unpacks the payload that scripts/embed_digits.py wrote.
#include "data/digits.h"

#include <iterator>

namespace ddpm {
namespace {

constexpr int64_t kSide = 8;
constexpr int64_t kImage = kSide * kSide;

// An image and its label a row, and the zero that ends a string literal.
constexpr char kPayload[][kImage + 2] = {
#include "data/digits_payload.inc"
};

uint8_t decode(char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'A' + 10); }

}  // namespace

Dataset read_digits() {
  Dataset dataset;
  dataset.name = "digits";
  dataset.image_shape = {kSide, kSide, 1};
  dataset.levels = 17;
  dataset.class_names = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
  dataset.source =
      "E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning "
      "Repository, 1998, doi:10.24432/C50P49 (its test part, as distributed by scikit-learn)";
  dataset.licence = "CC BY 4.0";
  dataset.flippable = false;
  Split& all = dataset.train;
  all.count = std::ssize(kPayload);
  for (const auto& row : kPayload) {
    for (int64_t i = 0; i < kImage; ++i) all.pixels.push_back(decode(row[i]));
    all.labels.push_back(decode(row[kImage]));
  }
  return dataset;
}

}  // namespace ddpm

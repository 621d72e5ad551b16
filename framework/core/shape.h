// Row-major extents, outermost first: {N, H, W, C} for images, {N, C} for vectors.
#pragma once

#include <fmt/core.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "framework/core/check.h"

namespace ddpm {

class Shape {
 public:
  static constexpr int kMaxRank = 4;

  Shape() = default;
  Shape(std::initializer_list<int64_t> extents) {
    DDPM_CHECK(extents.size() <= kMaxRank, "a shape has at most {} extents, not {}", kMaxRank,
               extents.size());
    for (int64_t e : extents) append(e);
  }

  int rank() const { return rank_; }
  // Negative indices count from the innermost extent: shape[-1] is the channel count.
  int64_t operator[](int i) const { return extents_[i < 0 ? rank_ + i : i]; }
  int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= extents_[i];
    return n;
  }
  // The same shape with another outermost or innermost extent.
  Shape with_outer(int64_t extent) const { return with(0, extent); }
  Shape with_inner(int64_t extent) const { return with(rank_ - 1, extent); }
  // So many of this shape: (H, W, C) -> (count, H, W, C).
  Shape batch_of(int64_t count) const {
    Shape s = {count};
    for (int i = 0; i < rank_; ++i) s.append(extents_[i]);
    return s;
  }

  std::string str() const {
    std::string s = "(";
    for (int i = 0; i < rank_; ++i) s += (i ? ", " : "") + std::to_string(extents_[i]);
    return s + ")";
  }

  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  void append(int64_t extent) {
    DDPM_CHECK(extent >= 0, "a shape cannot have the negative extent {}", extent);
    DDPM_ASSERT(rank_ < kMaxRank, "a shape has at most {} extents", kMaxRank);
    extents_[rank_++] = extent;
  }
  Shape with(int axis, int64_t extent) const {
    Shape s = *this;
    s.extents_[axis] = extent;
    return s;
  }

  std::array<int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

}  // namespace ddpm

template <>
struct fmt::formatter<ddpm::Shape> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  template <class Context>
  auto format(const ddpm::Shape& shape, Context& context) const {
    return fmt::format_to(context.out(), "{}", shape.str());
  }
};

#include <algorithm>

#include "framework/core/memory.h"
#include "framework/cuda/conv2d_wgmma.h"
#include "framework/cuda/conv2d_wgmma_kernel.cuh"

namespace ddpm::cuda {
namespace {

// The multiprocessors of the largest Hopper cards; not asked of the card at hand, so that sums are
// the same everywhere.
constexpr int kWantedTasks = 132;
constexpr int kLeastPanels = 8;  // of a piece of the depth: below it, writing sums takes longer

// Pointwise convolutions have pixels and no maps: images of one pixel.
Conv2dProblem without_maps(Conv2dProblem p) {
  if (!p.is_pointwise()) return p;
  p.images *= p.in_pixels();
  p.in_height = p.in_width = p.out_height = p.out_width = 1;
  return p;
}

// Whether 64 pixels of y are whole lines of one image, or whole images.
bool has_pixel_boxes(const Conv2dProblem& p) {
  return p.out_pixels() > 0 && kPanelLines % p.out_width == 0 &&
         (p.out_pixels() % kPanelLines == 0 || kPanelLines % p.out_pixels() == 0);
}

// Whether x is as many grids of the extents of y as the stride has remainders, and taps reach every
// one of them.
bool has_phases_like_y(const Conv2dProblem& p) {
  return p.stride * p.stride <= kMostPhases && p.in_height == p.out_height * p.stride &&
         p.in_width == p.out_width * p.stride && p.kernel_height >= p.stride &&
         p.kernel_width >= p.stride;
}

int box_lines(const Conv2dProblem& p) {
  return static_cast<int>(std::min(p.out_height, kPanelLines / p.out_width));
}
int box_images(const Conv2dProblem& p) {
  return static_cast<int>(std::max<int64_t>(1, kPanelLines / p.out_pixels()));
}

// Boxes of `step` pixels to the next, of an image `step` times the extents of y.
CUtensorMap image_map(const Tensor& images, const Conv2dProblem& p, int64_t channels,
                      int64_t stride) {
  const int step = static_cast<int>(stride);
  return make_tensor_map(images.data<bf16>(),
                         {channels, p.out_width * step, p.out_height * step, p.images},
                         {kTmaBoxWidth, static_cast<int>(p.out_width), box_lines(p), box_images(p)},
                         {1, step, step, 1});
}
CUtensorMap map_of_x(const Tensor& x, const Conv2dProblem& p) {
  return image_map(x, p, p.in_channels, p.stride);
}
CUtensorMap map_of_y(const Tensor& y, const Conv2dProblem& p) {
  return image_map(y, p, p.out_channels, 1);
}

CUtensorMap weight_map(const Tensor& weight, const Conv2dProblem& p) {
  return make_tensor_map(weight.data<bf16>(), {p.in_channels, p.taps(), p.out_channels, 1},
                         {kTmaBoxWidth, 1, kPanelLines, 1});
}

// Everything but the tiles. `p` is without maps where it is pointwise.
WgmmaProduct product_of(Conv2dPass pass, const Conv2dProblem& p, int64_t sample_rows) {
  const int64_t pixels = p.images * p.out_pixels();
  const int64_t in_slabs = p.in_channels / kPanelLines, out_slabs = p.out_channels / kPanelLines;
  WgmmaProduct product{};
  const auto set = [&](int64_t rows, int64_t columns, int64_t slabs) {
    product.rows = static_cast<int>(rows);
    product.columns = static_cast<int>(columns);
    product.slabs = static_cast<int>(slabs);
  };
  const auto add_phase = [&](const Lattice& lattice, int64_t depth) {
    WgmmaPhase& phase = product.phases[product.phase_count++];
    phase.lattice = lattice;
    phase.depth = static_cast<int>(depth);
  };
  const Conv2dExtents extents = extents_of(p);
  switch (pass) {
    case Conv2dPass::kForward:
      set(pixels, p.out_channels, in_slabs);
      add_phase(Lattice::forward(extents), p.taps() * in_slabs);
      break;
    case Conv2dPass::kBackwardData:
      set(pixels, p.in_channels, out_slabs);
      for (int i = 0; i < extents.stride * extents.stride; ++i) {
        const Lattice lattice = Lattice::backward_data(extents, i);
        add_phase(lattice, lattice.taps() * out_slabs);
      }
      // The longest tasks begin first.
      std::stable_sort(product.phases, product.phases + product.phase_count,
                       [](const auto& a, const auto& b) { return a.depth > b.depth; });
      break;
    case Conv2dPass::kBackwardWeight:
      set(p.out_channels, p.taps() * p.in_channels, in_slabs);
      add_phase(Lattice::forward(extents), ceil_div(pixels, kPanelLines));
      break;
  }
  product.sample_rows = static_cast<int>(sample_rows);
  product.height = static_cast<int>(p.out_height);
  product.image_boxes = static_cast<int>(std::max<int64_t>(1, p.out_pixels() / kPanelLines));
  product.box_lines = box_lines(p);
  product.box_images = box_images(p);
  product.kernel_width = static_cast<int>(p.kernel_width);
  return product;
}

// Tiles of all phases.
template <class Tile>
int64_t tiles_of(const WgmmaProduct& p) {
  return p.phase_count * ceil_div(p.rows, Tile::kRows) * ceil_div(p.columns, Tile::kColumns);
}

// Cuts the depth of each phase into that many panels and fewer.
void cut_depth(WgmmaProduct& p, int64_t piece_depth) {
  p.piece_depth = static_cast<int>(piece_depth);
  p.pieces = 0;
  for (int i = 0; i < p.phase_count; ++i) {
    p.phases[i].first_piece = p.pieces;
    p.phases[i].pieces = static_cast<int>(ceil_div(p.phases[i].depth, piece_depth));
    p.pieces += p.phases[i].pieces;
  }
}

// Panels of the shortest task.
int least_depth(const WgmmaProduct& p) {
  int least = p.piece_depth;
  for (int i = 0; i < p.phase_count; ++i)
    least = std::min(least, p.phases[i].depth - (p.phases[i].pieces - 1) * p.piece_depth);
  return least;
}

struct Arguments {
  CUtensorMap a, b;
  WgmmaProduct product;
  WgmmaEpilogue epilogue;
};

template <Conv2dPass kPass, class Tile, class Out>
void run_tiles(Arguments& arguments, Out* out) {
  WgmmaProduct& p = arguments.product;
  p.column_tiles = static_cast<int>(ceil_div(p.columns, Tile::kColumns));
  p.tiles = static_cast<int>(tiles_of<Tile>(p) / p.phase_count);
  // Parities tell two tasks apart: the consumer in front must not take the lead in a second task
  // before the other has begun the first. The ring prevents it where each task fills all stages.
  p.lead =
      kPass != Conv2dPass::kBackwardWeight && least_depth(p) >= Tile::kStages ? Tile::kLead : 0;
  const int64_t blocks = std::min(p.tiles * p.pieces, multiprocessor_count());
  launch(conv2d_wgmma_kernel<kPass, Tile, Out>, blocks, Tile::kThreads, Tile::kSharedBytes,
         arguments.a, arguments.b, p, arguments.epilogue, out);
}

// Cuts the depth so that there is a task for every multiprocessor, and adds the pieces in order.
template <Conv2dPass kPass, class Tile, class Out>
void run_pieces(Arguments& arguments, Out* out) {
  WgmmaProduct& p = arguments.product;
  const int64_t longest = p.phases[0].depth;
  const int64_t wanted =
      std::min<int64_t>(kWantedTasks / tiles_of<Tile>(p), longest / kLeastPanels);
  cut_depth(p, ceil_div(longest, std::max<int64_t>(1, wanted)));
  if (p.pieces == p.phase_count) {
    run_tiles<kPass, Tile>(arguments, out);
    return;
  }
  const int64_t elements = int64_t{p.rows} * p.columns;
  const int64_t sums = ceil_div(p.rows, kChunk) * (p.columns / kPanelLines);
  const Tensor partial = Tensor::empty({p.pieces, elements}, DType::kF32, Device::kCuda);
  run_tiles<kPass, Tile>(arguments, partial.data<float>());
  launch(sum_pieces_kernel<Out>,
         dim3(static_cast<unsigned>(sums), static_cast<unsigned>(p.phase_count)), kSumThreads, 0,
         static_cast<const float*>(partial.data<float>()), p, arguments.epilogue, out);
}

// The result of a pass over images: as large a tile as gives every multiprocessor one.
template <Conv2dPass kPass>
void run_image_pass(Arguments&& arguments, bf16* out) {
  using Wide = WgmmaTile<128, 256>;
  using High = WgmmaTile<256, 128>;
  using Small = WgmmaTile<128, 128>;
  WgmmaProduct& p = arguments.product;
  const bool is_wide = p.columns % Wide::kColumns == 0;
  if ((is_wide ? tiles_of<Wide>(p) : tiles_of<High>(p)) < kWantedTasks) {
    run_pieces<kPass, Small>(arguments, out);
    return;
  }
  cut_depth(p, p.phases[0].depth);
  if (is_wide)
    run_tiles<kPass, Wide>(arguments, out);
  else
    run_tiles<kPass, High>(arguments, out);
}

#ifdef DDPM_CUDA_ON_HOST
bool has_code() { return true; }
#else
// Built without sm_90a the kernel is empty, which its registers betray.
bool has_code() {
  cudaFuncAttributes attributes{};
  const auto kernel = conv2d_wgmma_kernel<Conv2dPass::kForward, WgmmaTile<128, 128>, bf16>;
  return cudaFuncGetAttributes(&attributes, kernel) == cudaSuccess && attributes.numRegs >= 128;
}
#endif

}  // namespace

bool wgmma_supports(const Conv2dProblem& p) {
  constexpr int64_t kMost = INT32_MAX / 2;
  static const bool is_hopper = memory::gpu_info().capability == 90 && has_code();
  return is_hopper && p.dtype == DType::kBf16 && p.images > 0 && has_phases_like_y(p) &&
         p.in_channels % kPanelLines == 0 && p.out_channels % kPanelLines == 0 &&
         has_pixel_boxes(without_maps(p)) && p.images * p.in_pixels() <= kMost &&
         p.taps() * p.in_channels <= kMost && p.taps() * p.out_channels <= kMost;
}

void wgmma_forward(const Conv2dProblem& problem, const Conv2dOperands& o) {
  const Conv2dProblem p = without_maps(problem);
  const Tensor moments = o.feeds_norm ? attach_moments(o.y) : Tensor();
  run_image_pass<Conv2dPass::kForward>(
      {map_of_x(o.x, p),
       weight_map(o.weight, p),
       product_of(Conv2dPass::kForward, p, problem.out_pixels()),
       {data_or_null<float>(o.bias), data_or_null<bf16>(o.per_sample),
        data_or_null<bf16>(o.residual), data_or_null<float>(moments)}},
      o.y.data<bf16>());
}

void wgmma_backward_data(const Conv2dProblem& problem, const Conv2dOperands& o) {
  const Conv2dProblem p = without_maps(problem);
  const int phases = static_cast<int>(p.stride * p.stride);
  const Tensor moments = o.feeds_norm ? attach_moments(o.x, phases) : Tensor();
  run_image_pass<Conv2dPass::kBackwardData>(
      {map_of_y(o.y, p),
       weight_map(o.weight, p),
       product_of(Conv2dPass::kBackwardData, p, problem.out_pixels()),
       {data_or_null<float>(o.bias), nullptr, nullptr, data_or_null<float>(moments)}},
      o.x.data<bf16>());
}

void wgmma_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& o) {
  const Conv2dProblem p = without_maps(problem);
  Arguments arguments{
      map_of_y(o.y, p), map_of_x(o.x, p), product_of(Conv2dPass::kBackwardWeight, p, 1), {}};
  run_pieces<Conv2dPass::kBackwardWeight, WgmmaTile<128, 256>>(arguments, o.weight.data<float>());
}

}  // namespace ddpm::cuda

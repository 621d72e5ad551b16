// The kernel of conv2d_wgmma.cu. All three passes are one matrix product of panels of 64 x 64 bf16
// (wgmma.cuh), each of which the copy engine fetches as one box:
//
//                    rows (M)        columns (N)       depth               panel of A     panel of
//                    B
//   forward          pixels of y     K                 taps x slabs of C   box of x       box of W
//   backward_data    pixels of x     C                 taps x slabs of K   box of dy      box of W,
//                                                                                         MN-major
//   backward_weight  K               taps x C          pixels of y         box of dy,     box of x,
//                                                                          MN-major       MN-major
//
// A box of an image is 64 pixels, whole lines or whole images, by 64 channels; a tap shifts its
// coordinates, and zeros arrive where it sticks out. A box of the weights (K, taps, C) is 64 output
// channels by 64 input channels of one tap. Nothing is transposed or unrolled in memory.
//
// Boxes are cut on the grid of y. With a stride, a box of x takes every stride-th pixel, and
// backward_data is one product for each phase: the pixels of x of one remainder modulo the stride
// are a grid like y's that is reached by the same taps (Lattice in conv2d_sources.cuh). Phases
// differ in depth, and their tiles are tasks of one launch.
//
// A block is three warpgroups. The producer fetches stages of panels into a ring in shared memory;
// the two consumers each multiply their half of the rows of a tile with all of its columns:
//
//      tile of 256 x 128          tile of 128 x 256                stage s of the ring
//      +--------+  consumer 0     +----------------+  consumer 0   full[s]:  its bytes are here
//      |        |  2 x m64n128    +----------------+  m64n256      empty[s]: all 8 warps of the
//      +--------+  consumer 1     |                |  consumer 1             consumers are done
//      |        |                 +----------------+
//      +--------+
//
// A fixed grid of blocks takes tiles in turn, and the producer runs ahead into the next tile while
// sums are written. The first consumer may lead the second by a few stages of the ring: then each
// writes its sums while the other multiplies, and both still share what was fetched.
#pragma once

#include "framework/core/bf16.h"
#include "framework/core/conv2d_problem.h"
#include "framework/cuda/conv2d_sources.cuh"
#include "framework/cuda/launch.cuh"
#include "framework/cuda/moments.cuh"
#include "framework/cuda/tma.cuh"
#include "framework/cuda/vector_load.cuh"
#include "framework/cuda/wgmma.cuh"
#include "framework/cuda/wgmma_sums.cuh"

namespace ddpm::cuda {

template <int kRows_, int kColumns_>
struct WgmmaTile {
  static constexpr int kRows = kRows_, kColumns = kColumns_;
  static constexpr int kPanelsA = kRows / kPanelLines, kPanelsB = kColumns / kPanelLines;
  static constexpr int kHalfA = kPanelsA / 2;  // of one consumer
  static constexpr int kStageBytes = (kPanelsA + kPanelsB) * kPanelBytes;
  static constexpr int kStages = (192 << 10) / kStageBytes;
  // Of the stages, one is multiplied by each consumer: half of the rest may lie between them.
  static constexpr int kLead = kStages / 2 - 1;
  static constexpr int kBarriers = 2 * kStages + 1;
  static constexpr int kSharedBytes =
      kStages * kStageBytes + kBarriers * static_cast<int>(sizeof(uint64_t));
  static constexpr int kThreads = 3 * kWarpgroup;
  // What is left of 64 K registers after 40 for each thread of the producer.
  static constexpr int kProducerRegisters = 40, kConsumerRegisters = 232;
};

inline constexpr int kMostPhases = 4;

// A product of its own: everything, or the pixels of dx of one remainder modulo the stride.
struct WgmmaPhase {
  Lattice lattice;
  int depth;                // panels
  int pieces, first_piece;  // of the depth; those of all phases lie behind one another
};

// The products, and where their panels lie. Phases have the same rows and columns; the deepest is
// first.
struct WgmmaProduct {
  int rows, columns, sample_rows;                  // elements of a phase; rows of one sample
  int piece_depth;                                 // panels
  int tiles, column_tiles;                         // of a phase
  int pieces;                                      // of all phases
  int height, image_boxes, box_lines, box_images;  // an image has one box, or a box many images
  int slabs, kernel_width;                         // slabs: panels of the channels under a tap
  int lead;                                        // stages, or 0: the consumers are free
  int phase_count;
  WgmmaPhase phases[kMostPhases];

  // The row of the result that is row `row` of a phase.
  __device__ int result_row(const Lattice& lattice, int row) const {
    if (lattice.step == 1) return row;
    return lattice.pixel(row, lattice.height * lattice.step, lattice.width * lattice.step);
  }
  // The chunk of the moments that begins with row `row` of a phase.
  __device__ int chunk(int phase, int row) const {
    const int index = row / kChunk;
    if (phase_count == 1) return index;
    const int of_sample = sample_rows / kChunk;
    return (index / of_sample * phase_count + phase) * of_sample + index % of_sample;
  }
};

// What is added to a sum before it is rounded, and where the moments of rounded sums go; each may
// be null.
struct WgmmaEpilogue {
  const float* bias;       // (columns)
  const bf16* per_sample;  // (images, columns)
  const bf16* residual;    // (rows, columns)
  float* moments;          // (chunks of all images, columns / kQuad, 2)
};

// A tile of a phase over a piece of the depth.
struct WgmmaTask {
  int row, column, begin, end, piece, phase;  // first panels, and the end of the depth

  template <class Tile>
  __device__ static WgmmaTask at(const WgmmaProduct& p, int index) {
    const int tile = index % p.tiles, piece = index / p.tiles;
    int phase = p.phase_count - 1;
    while (piece < p.phases[phase].first_piece) --phase;
    const int begin = (piece - p.phases[phase].first_piece) * p.piece_depth;
    return {tile / p.column_tiles * Tile::kPanelsA,
            tile % p.column_tiles * Tile::kPanelsB,
            begin,
            min(begin + p.piece_depth, p.phases[phase].depth),
            piece,
            phase};
  }
};

// The first line and image of 64 pixels of the grid.
struct PixelBox {
  int line, image;

  __device__ static PixelBox at(const WgmmaProduct& p, int panel) {
    return {panel % p.image_boxes * p.box_lines, panel / p.image_boxes * p.box_images};
  }
  __device__ void advance(const WgmmaProduct& p) {
    line += p.box_lines;
    if (line < p.height) return;
    line = 0;
    image += p.box_images;
  }
};

// The stages in the order in which both sides use them. Each side keeps a copy.
template <class Tile>
class WgmmaRing {
 public:
  __device__ explicit WgmmaRing(unsigned char* shared)
      : shared_(shared),
        full_(reinterpret_cast<uint64_t*>(shared + Tile::kStages * Tile::kStageBytes)) {}

  __device__ void init() {
    for (int s = 0; s < Tile::kStages; ++s) {
      mbarrier_init(full_ + s, 1);
      mbarrier_init(full_ + Tile::kStages + s, 2 * kWarpgroup / kWarp);
    }
    mbarrier_init(leads(), 1);
    mbarrier_publish();
  }
  __device__ unsigned char* stage() const { return shared_ + index_ * Tile::kStageBytes; }
  __device__ int index() const { return index_; }
  __device__ uint64_t* full() const { return full_ + index_; }
  __device__ uint64_t* empty() const { return full_ + Tile::kStages + index_; }
  __device__ uint64_t* empty_before() const {
    return full_ + Tile::kStages + (index_ == 0 ? Tile::kStages : index_) - 1;
  }
  // Of this barrier each task completes one phase, when the first consumer leads.
  __device__ uint64_t* leads() const { return full_ + 2 * Tile::kStages; }
  __device__ uint32_t parity() const { return parity_; }
  __device__ void advance() {
    if (++index_ < Tile::kStages) return;
    index_ = 0;
    parity_ ^= 1;
  }

 private:
  unsigned char* shared_;
  uint64_t* full_;
  int index_ = 0;
  uint32_t parity_ = 0;
};

// Fetches the panels of a task, stage by stage: load_a(i, to) and load_b(j, to) fetch those of the
// current depth, next() goes on to the next.
template <class Tile, class LoadA, class LoadB, class Next>
__device__ void fetch_stages(WgmmaRing<Tile>& ring, int stages, LoadA load_a, LoadB load_b,
                             Next next) {
  for (int d = 0; d < stages; ++d) {
    mbarrier_wait(ring.empty(), ring.parity() ^ 1);
    mbarrier_arrive_expect_bytes(ring.full(), Tile::kStageBytes);
    unsigned char* const stage = ring.stage();
#pragma unroll
    for (int i = 0; i < Tile::kPanelsA; ++i) load_a(i, stage + i * kPanelBytes);
#pragma unroll
    for (int j = 0; j < Tile::kPanelsB; ++j) load_b(j, stage + (Tile::kPanelsA + j) * kPanelBytes);
    next();
    ring.advance();
  }
}

// Rows are pixels of the lattice, the depth runs over (tap, slab of channels).
template <Conv2dPass kPass, class Tile>
__device__ void fetch_image_task(const CUtensorMap* image, const CUtensorMap* weight,
                                 const WgmmaProduct& p, const WgmmaTask& t, WgmmaRing<Tile>& ring) {
  constexpr bool kIsForward = kPass == Conv2dPass::kForward;
  const Lattice& lattice = p.phases[t.phase].lattice;
  PixelBox box[Tile::kPanelsA];
#pragma unroll
  for (int i = 0; i < Tile::kPanelsA; ++i) box[i] = PixelBox::at(p, t.row + i);
  int slab = t.begin % p.slabs;
  int r = t.begin / p.slabs / lattice.taps_wide, s = t.begin / p.slabs % lattice.taps_wide;
  fetch_stages(
      ring, t.end - t.begin,
      [&](int i, unsigned char* to) {
        tma_load(to, image, ring.full(), slab * 64, lattice.first_column + s * lattice.sign,
                 box[i].line * lattice.advance + lattice.first_row + r * lattice.sign,
                 box[i].image);
      },
      [&](int j, unsigned char* to) {
        const int column = (t.column + j) * 64, depth = slab * 64;
        const int tap = (lattice.first_r + r * lattice.step) * p.kernel_width + lattice.first_s +
                        s * lattice.step;
        tma_load(to, weight, ring.full(), kIsForward ? depth : column, tap,
                 kIsForward ? column : depth, 0);
      },
      [&] {
        if (++slab < p.slabs) return;
        slab = 0;
        if (++s < lattice.taps_wide) return;
        s = 0, ++r;
      });
}

// Rows are output channels, columns (tap, input channel), the depth runs over pixels.
template <class Tile>
__device__ void fetch_weight_task(const CUtensorMap* dy, const CUtensorMap* x,
                                  const WgmmaProduct& p, const WgmmaTask& t,
                                  WgmmaRing<Tile>& ring) {
  const Lattice& lattice = p.phases[0].lattice;
  int channel[Tile::kPanelsB], shift_x[Tile::kPanelsB], shift_y[Tile::kPanelsB];
#pragma unroll
  for (int j = 0; j < Tile::kPanelsB; ++j) {
    const int tap = (t.column + j) / p.slabs;
    channel[j] = (t.column + j) % p.slabs * 64;
    shift_x[j] = lattice.first_column + tap % p.kernel_width;
    shift_y[j] = lattice.first_row + tap / p.kernel_width;
  }
  PixelBox box = PixelBox::at(p, t.begin);
  fetch_stages(
      ring, t.end - t.begin,
      [&](int i, unsigned char* to) {
        tma_load(to, dy, ring.full(), (t.row + i) * 64, 0, box.line, box.image);
      },
      [&](int j, unsigned char* to) {
        tma_load(to, x, ring.full(), channel[j], shift_x[j],
                 box.line * lattice.advance + shift_y[j], box.image);
      },
      [&] { box.advance(p); });
}

// One consumer's sums: rows (consumer * kHalfA + m) * 64 ... of the tile.
template <class Tile>
using WgmmaSums = float[Tile::kHalfA][Tile::kColumns / 2];

template <Conv2dPass kPass, class Tile>
__device__ __forceinline__ void multiply(WgmmaRing<Tile>& ring, int consumer, int stages, int lead,
                                         WgmmaSums<Tile>& sums) {
  constexpr Major kMajorA = kPass == Conv2dPass::kBackwardWeight ? Major::kMN : Major::kK;
  constexpr Major kMajorB = kPass == Conv2dPass::kForward ? Major::kK : Major::kMN;
  const bool releases = threadIdx.x % kWarp == 0;
  const bool leads = lead > 0 && threadIdx.x == kWarpgroup;
  for (int d = 0; d < stages; ++d) {
    mbarrier_wait(ring.full(), ring.parity());
    const unsigned char* const stage = ring.stage();
    const uint64_t a = wgmma_descriptor<kMajorA>(stage + consumer * Tile::kHalfA * kPanelBytes);
    const uint64_t b = wgmma_descriptor<kMajorB>(stage + Tile::kPanelsA * kPanelBytes);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; ++k)
#pragma unroll
      for (int m = 0; m < Tile::kHalfA; ++m)
        wgmma<Tile::kColumns, kMajorA, kMajorB>(
            sums[m], a + m * wgmma_descriptor_step(kPanelBytes) + k * kWgmmaDepthStep<kMajorA>,
            b + k * kWgmmaDepthStep<kMajorB>, d > 0 || k > 0);
    wgmma_commit();
    // The stage before is done with while this one is multiplied.
    wgmma_wait<1>();
    if (d > 0 && releases) mbarrier_arrive(ring.empty_before());
    if (d == lead && leads) mbarrier_arrive(ring.leads());
    ring.advance();
  }
  wgmma_wait<0>();
#pragma unroll
  for (int m = 0; m < Tile::kHalfA; ++m) wgmma_finish(sums[m]);
  if (releases) mbarrier_arrive(ring.empty_before());
}

// Adds what is to be added and writes a consumer's sums: to the pixels of the result, or as a piece
// of the depth behind the others.
template <class Tile, class Out>
__device__ __forceinline__ void write_sums(WgmmaSums<Tile>& sums, const WgmmaProduct& p,
                                           const WgmmaTask& t, const WgmmaEpilogue& epilogue,
                                           int consumer, Out* out) {
  constexpr int kColumns = Tile::kColumns;
  const int first_column = t.column * kPanelLines, columns = p.columns - first_column;
  if constexpr (std::is_same_v<Out, bf16>)
    if (epilogue.bias) add_to_columns<kColumns>(sums, epilogue.bias + first_column, columns);
#pragma unroll
  for (int m = 0; m < Tile::kHalfA; ++m) {
    const int first_row = (t.row + consumer * Tile::kHalfA + m) * kPanelLines;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row = first_row + Fragment::row() + h * 8;
      const bool exists = row < p.rows;
      if constexpr (std::is_same_v<Out, bf16>) {
        const int64_t line =
            int64_t{p.result_row(p.phases[t.phase].lattice, row)} * p.columns + first_column;
        if (epilogue.per_sample)
          add_line<kColumns>(
              sums[m], h,
              epilogue.per_sample + int64_t{row / p.sample_rows} * p.columns + first_column,
              columns, exists);
        if (epilogue.residual)
          add_line<kColumns>(sums[m], h, epilogue.residual + line, columns, exists);
        write_line<kColumns>(sums[m], h, out + line, columns, exists);
      } else {
        const int64_t line = (int64_t{t.piece} * p.rows + row) * p.columns + first_column;
        write_line<kColumns>(sums[m], h, out + line, columns, exists);
      }
    }
    if constexpr (std::is_same_v<Out, bf16>)
      if (epilogue.moments) {
        const int row = first_row + Fragment::first_row();
        write_moments<kColumns>(sums[m], epilogue.moments, p.chunk(t.phase, row), p.columns,
                                first_column, row < p.rows);
      }
  }
}

template <Conv2dPass kPass, class Tile, class Out>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    conv2d_wgmma_kernel(const __grid_constant__ CUtensorMap map_a,
                        const __grid_constant__ CUtensorMap map_b,
                        const __grid_constant__ WgmmaProduct p, WgmmaEpilogue epilogue, Out* out) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(DDPM_CUDA_ON_HOST)
  WgmmaRing<Tile> ring(dynamic_shared<unsigned char>());
  if (threadIdx.x == 0) ring.init();
  __syncthreads();

  const int tasks = p.tiles * p.pieces;
  if (threadIdx.x < kWarpgroup) {
    set_fewer_registers<Tile::kProducerRegisters>();
    if (threadIdx.x > 0) return;
    for (int i = static_cast<int>(blockIdx.x); i < tasks; i += static_cast<int>(gridDim.x)) {
      const WgmmaTask t = WgmmaTask::at<Tile>(p, i);
      if constexpr (kPass == Conv2dPass::kBackwardWeight)
        fetch_weight_task(&map_a, &map_b, p, t, ring);
      else
        fetch_image_task<kPass>(&map_a, &map_b, p, t, ring);
    }
  } else {
    set_more_registers<Tile::kConsumerRegisters>();
    const int consumer = static_cast<int>(threadIdx.x) / kWarpgroup - 1;
    uint32_t parity = 0;
    for (int i = static_cast<int>(blockIdx.x); i < tasks; i += static_cast<int>(gridDim.x)) {
      const WgmmaTask t = WgmmaTask::at<Tile>(p, i);
      if (p.lead > 0 && consumer == 1) mbarrier_wait(ring.leads(), parity);
      parity ^= 1;
      WgmmaSums<Tile> sums;
      multiply<kPass>(ring, consumer, t.end - t.begin, p.lead, sums);
      write_sums<Tile>(sums, p, t, epilogue, consumer, out);
    }
  }
#endif
}

// Of a block of sum_pieces_kernel: a chunk of rows and a panel of columns.
inline constexpr int kSumThreads = kChunk * kPanelLines / 4;

// out = the sum of the pieces of its phase, first to last, plus the addends, rounded once; four
// elements a thread.
template <class Out>
__global__ void sum_pieces_kernel(const float* partial, const __grid_constant__ WgmmaProduct p,
                                  WgmmaEpilogue epilogue, Out* out) {
  const int panels = p.columns / kPanelLines, across = kPanelLines / 4;
  const int first_row = static_cast<int>(blockIdx.x) / panels * kChunk;
  const int thread = static_cast<int>(threadIdx.x), row = first_row + thread / across;
  const int column = static_cast<int>(blockIdx.x) % panels * kPanelLines + thread % across * 4;
  const WgmmaPhase& phase = p.phases[blockIdx.y];
  Packed<Out, 4> result{};
  if (row < p.rows) {
    const int64_t elements = static_cast<int64_t>(p.rows) * p.columns;
    partial += phase.first_piece * elements + static_cast<int64_t>(row) * p.columns + column;
    Packed<float, 4> sum = load_packed<float, 4>(partial);
    for (int piece = 1; piece < phase.pieces; ++piece) {
      const Packed<float, 4> next = load_packed<float, 4>(partial + piece * elements);
#pragma unroll
      for (int k = 0; k < 4; ++k) sum.v[k] += next.v[k];
    }
    const int64_t sample = static_cast<int64_t>(row / p.sample_rows) * p.columns + column;
    const int64_t i = int64_t{p.result_row(phase.lattice, row)} * p.columns + column;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (epilogue.bias) sum.v[k] += epilogue.bias[column + k];
      if (epilogue.per_sample) sum.v[k] += epilogue.per_sample[sample + k];
      if (epilogue.residual) sum.v[k] += epilogue.residual[i + k];
      result.v[k] = sum.v[k];
    }
    store_packed(out + i, result);
  }
  if constexpr (std::is_same_v<Out, bf16>) {
    if (!epilogue.moments) return;
    __shared__ Moments<float> quads[kSumThreads];
    quads[thread] = moments_of_quad(result.v[0], result.v[1], result.v[2], result.v[3]);
    __syncthreads();
    if (thread >= across || row >= p.rows) return;
    const auto chunk = merge<float>(kChunk, [&](int i) { return quads[i * across + thread]; });
    store_moments(epilogue.moments, p.chunk(static_cast<int>(blockIdx.y), row), p.columns / kQuad,
                  column / kQuad, chunk);
  }
}

}  // namespace ddpm::cuda

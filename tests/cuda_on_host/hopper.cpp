#include "tests/cuda_on_host/hopper.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <numeric>
#include <string_view>
#include <vector>

#include "tests/cuda_on_host/grid_runner.h"

namespace cuda_on_host {
namespace {

constexpr uint32_t kSystemBytes = 1024;  // at the beginning of shared memory

// What cuTensorMapEncodeTiled keeps; the real encoding is NVIDIA's secret.
struct TensorMap {
  const std::byte* base;
  std::array<uint64_t, 4> strides;  // bytes, of dimensions 1 ...
  std::array<uint32_t, 5> dims;
  std::array<uint16_t, 5> box;   // elements that arrive
  std::array<uint8_t, 5> steps;  // from one to the next
  uint8_t rank, element_bytes;
  bool is_swizzled;

  size_t box_bytes() const {
    size_t bytes = element_bytes;
    for (size_t d = 0; d < rank; ++d) bytes *= box[d];
    return bytes;
  }
};
static_assert(sizeof(TensorMap) <= sizeof(CUtensorMap));

struct Copy {
  TensorMap map;
  uint32_t to;
  uint64_t* barrier;
  std::array<int, 4> at;
};

// One operand of a product: K-major or MN-major behind a matrix descriptor.
struct Operand {
  uint64_t descriptor;
  bool is_mn_major;
};

struct Product {
  int columns;
  float* d;
  Operand a, b;
  bool accumulate;
};

struct Thread {
  bool is_fenced = false;
  std::vector<Product> open;
  std::deque<std::vector<Product>> groups;
};

struct Engines {
  uint64_t block = 0;
  std::vector<Copy> copies;  // under way
  std::vector<Thread> threads;
};

// Of the block that is running.
Engines& engines() {
  static Engines all;
  if (all.block != blocks_started()) {
    all = Engines{};
    all.block = blocks_started();
    all.threads.resize(size_t{blockDim.x} * blockDim.y * blockDim.z);
  }
  return all;
}

Thread& this_thread() { return engines().threads[static_cast<size_t>(current_thread())]; }

std::byte* shared_pointer(uint32_t address, size_t bytes) {
  if (address < kSystemBytes || address - kSystemBytes + bytes > dynamic_shared_bytes())
    throw KernelError(fmt::format("an engine reaches address {} of shared memory, which ends at {}",
                                  address, kSystemBytes + dynamic_shared_bytes()));
  return static_cast<std::byte*>(dynamic_shared()) + (address - kSystemBytes);
}

// Address bits 4-6 are xored with bits 7-9.
uint32_t swizzle_128_bytes(uint32_t address) { return address ^ (address >> 7 & 7) << 4; }

// The 64 bits of a barrier. Fresh shared memory is no barrier: is_none is set there.
struct Phase {
  uint64_t parity : 1, expected : 20, pending : 20;
  int64_t bytes : 22;  // announced and not yet there
  uint64_t is_none : 1;
};
static_assert(sizeof(Phase) == sizeof(uint64_t));

Phase load(const uint64_t* barrier) {
  Phase phase;
  std::memcpy(&phase, barrier, sizeof phase);
  if (phase.is_none) throw KernelError("uses an mbarrier that nobody initialised");
  return phase;
}

void store(uint64_t* barrier, Phase phase) {
  if (phase.pending == 0 && phase.bytes == 0) {
    phase.parity ^= 1;
    phase.pending = phase.expected;
  }
  std::memcpy(barrier, &phase, sizeof phase);
}

void arrive(uint64_t* barrier, int bytes) {
  Phase phase = load(barrier);
  if (phase.pending == 0) throw KernelError("arrives once too often in a phase of an mbarrier");
  phase.bytes += bytes;
  --phase.pending;
  store(barrier, phase);
}

void deliver(const Copy& copy) {
  const TensorMap& map = copy.map;
  std::array<int, 4> i{};
  uint32_t line = copy.to;
  const size_t line_bytes = size_t{map.box[0]} * map.element_bytes;
  for (i[3] = 0; i[3] < map.box[3]; ++i[3])
    for (i[2] = 0; i[2] < map.box[2]; ++i[2])
      for (i[1] = 0; i[1] < map.box[1]; ++i[1]) {
        for (i[0] = 0; i[0] < map.box[0]; ++i[0]) {
          bool is_inside = true;
          uint64_t offset = 0;
          for (size_t d = 0; d < 4; ++d) {
            const int64_t at = int64_t{copy.at[d]} + i[d] * map.steps[d];
            is_inside &= at >= 0 && at < map.dims[d];
            offset += static_cast<uint64_t>(at) * (d == 0 ? map.element_bytes : map.strides[d - 1]);
          }
          const uint32_t address = line + static_cast<uint32_t>(i[0]) * map.element_bytes;
          std::byte* to = shared_pointer(map.is_swizzled ? swizzle_128_bytes(address) : address,
                                         map.element_bytes);
          if (is_inside)
            std::memcpy(to, map.base + offset, map.element_bytes);
          else
            std::memset(to, 0, map.element_bytes);
        }
        line += static_cast<uint32_t>(line_bytes);
      }
  Phase phase = load(copy.barrier);
  phase.bytes -= static_cast<int64_t>(map.box_bytes());
  store(copy.barrier, phase);
}

bool is_complete(uint64_t* barrier, uint32_t parity) {
  if (load(barrier).parity != parity) return true;
  std::vector<Copy>& copies = engines().copies;
  const auto mine = std::stable_partition(
      copies.begin(), copies.end(), [&](const Copy& copy) { return copy.barrier != barrier; });
  const std::vector<Copy> arriving(mine, copies.end());
  copies.erase(mine, copies.end());
  for (const Copy& copy : arriving) deliver(copy);
  return load(barrier).parity != parity;
}

// The 16 of the depth of a row or column of an operand, by the canonical layouts of the 128-byte
// swizzle: K-major ((8, m), 16) : ((64, stride), 1), MN-major ((64, m), (8, 2)) : ((1, leading),
// (64, stride)), in elements but for stride and leading, which are bytes.
std::array<float, 16> depth_of(const Operand& operand, int mn) {
  const uint64_t bits = operand.descriptor;
  const auto field = [&](int shift) { return static_cast<uint32_t>(bits >> shift & 0x3fff) << 4; };
  const uint32_t start = field(0), leading = field(16), stride = field(32);
  const uint32_t i = static_cast<uint32_t>(mn);
  std::array<float, 16> values;
  for (uint32_t k = 0; k < 16; ++k) {
    const uint32_t offset = operand.is_mn_major
                                ? i % 64 * 2 + i / 64 * leading + k % 8 * 128 + k / 8 * stride
                                : i % 8 * 128 + i / 8 * stride + k * 2;
    uint16_t upper;
    std::memcpy(&upper, shared_pointer(swizzle_128_bytes(start + offset), 2), sizeof upper);
    const uint32_t word = uint32_t{upper} << 16;
    std::memcpy(&values[k], &word, sizeof word);
  }
  return values;
}

// The calling thread's share of D, by the layout of the fragment of D.
void multiply(const Product& product) {
  const int thread = current_thread() % 128, lane = thread % 32;
  const int row = thread / 32 * 16 + lane / 4;
  const std::array<float, 16> a[2] = {depth_of(product.a, row), depth_of(product.a, row + 8)};
  for (int j = 0; j < product.columns / 8; ++j)
    for (int i = 0; i < 2; ++i) {
      const std::array<float, 16> b = depth_of(product.b, 8 * j + 2 * (lane % 4) + i);
      for (int h = 0; h < 2; ++h) {
        float& d = product.d[4 * j + 2 * h + i];
        const float sum = std::inner_product(b.begin(), b.end(), a[h].begin(), 0.0f);
        d = product.accumulate ? d + sum : sum;
      }
    }
}

void check_descriptor(uint64_t descriptor) {
  if (descriptor >> 62 != 1) throw KernelError("wgmma: a swizzle that is not of 128 bytes");
  if (descriptor >> 49 & 7) throw KernelError("wgmma: a base offset");
}

}  // namespace

uint32_t shared_address(const void* pointer) {
  const auto offset =
      static_cast<const std::byte*>(pointer) - static_cast<const std::byte*>(dynamic_shared());
  if (offset < 0 || static_cast<size_t>(offset) >= dynamic_shared_bytes())
    throw KernelError("takes the shared address of something else");
  return kSystemBytes + static_cast<uint32_t>(offset);
}

void mbarrier_init(uint64_t* barrier, int arrivals) {
  shared_address(barrier);
  Phase phase{};
  phase.expected = phase.pending = static_cast<uint64_t>(arrivals) & 0xfffff;
  std::memcpy(barrier, &phase, sizeof phase);
}

void mbarrier_arrive(uint64_t* barrier) { arrive(barrier, 0); }
void mbarrier_arrive_expect_bytes(uint64_t* barrier, int bytes) { arrive(barrier, bytes); }

void mbarrier_wait(uint64_t* barrier, uint32_t parity) {
  for (bool is_idle = false; !is_complete(barrier, parity); is_idle = true) yield(is_idle);
}

void tma_load(void* shared, const CUtensorMap* map, uint64_t* barrier, int c0, int c1, int c2,
              int c3) {
  Copy copy{{}, shared_address(shared), barrier, {c0, c1, c2, c3}};
  if (copy.to % 128 != 0) throw KernelError("tma_load: to an address that is not aligned");
  std::memcpy(&copy.map, map, sizeof copy.map);
  if (copy.map.rank != 4) throw KernelError("tma_load: a tensor map of another rank");
  std::memset(shared_pointer(copy.to, copy.map.box_bytes()), 0xFF, copy.map.box_bytes());
  engines().copies.push_back(copy);
}

void wgmma_fence() { this_thread().is_fenced = true; }

void wgmma(int columns, float* d, uint64_t a, uint64_t b, bool accumulate, bool is_a_mn_major,
           bool is_b_mn_major) {
  Thread& thread = this_thread();
  if (!thread.is_fenced) throw KernelError("wgmma without a fence");
  check_descriptor(a);
  check_descriptor(b);
  thread.open.push_back({columns, d, {a, is_a_mn_major}, {b, is_b_mn_major}, accumulate});
}

void wgmma_commit() {
  Thread& thread = this_thread();
  thread.groups.push_back(std::move(thread.open));
  thread.open.clear();
}

void wgmma_wait(int pending) {
  Thread& thread = this_thread();
  for (; thread.groups.size() > static_cast<size_t>(pending); thread.groups.pop_front())
    for (const Product& product : thread.groups.front()) multiply(product);
  thread.is_fenced = false;
  warp_barrier(0xffffffffu);
}

}  // namespace cuda_on_host

CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType, cuuint32_t rank,
                                void* address, const cuuint64_t* dims, const cuuint64_t* strides,
                                const cuuint32_t* box, const cuuint32_t* element_strides,
                                CUtensorMapInterleave, CUtensorMapSwizzle swizzle,
                                CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  constexpr uint8_t kElementBytes = 2;
  cuda_on_host::TensorMap encoded{};
  bool is_valid = rank >= 1 && rank <= 5 && reinterpret_cast<uintptr_t>(address) % 16 == 0;
  for (size_t d = 0; is_valid && d < rank; ++d) {
    is_valid = dims[d] >= 1 && dims[d] <= uint64_t{1} << 32 && box[d] >= 1 && box[d] <= 256 &&
               element_strides[d] >= 1 && element_strides[d] <= 8;
    if (!is_valid) break;
    if (d + 1 < rank) is_valid &= strides[d] % 16 == 0 && strides[d] < uint64_t{1} << 40;
    // Of an innermost stride the engine knows nothing.
    const cuuint32_t step = d == 0 ? 1 : element_strides[d];
    encoded.dims[d] = static_cast<uint32_t>(dims[d]);
    encoded.box[d] = static_cast<uint16_t>((box[d] + step - 1) / step);
    encoded.steps[d] = static_cast<uint8_t>(step);
    if (d + 1 < rank) encoded.strides[d] = strides[d];
  }
  is_valid = is_valid && box[0] * kElementBytes % 16 == 0;
  if (swizzle == CU_TENSOR_MAP_SWIZZLE_128B) is_valid = is_valid && box[0] * kElementBytes <= 128;
  if (!is_valid) return CUDA_ERROR_INVALID_VALUE;
  encoded.base = static_cast<const std::byte*>(address);
  encoded.rank = static_cast<uint8_t>(rank);
  encoded.element_bytes = kElementBytes;
  encoded.is_swizzled = swizzle == CU_TENSOR_MAP_SWIZZLE_128B;
  std::memcpy(map, &encoded, sizeof encoded);
  return CUDA_SUCCESS;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  const bool is_known = std::string_view(symbol) == "cuTensorMapEncodeTiled";
  *function = is_known ? reinterpret_cast<void*>(&cuTensorMapEncodeTiled) : nullptr;
  *result = is_known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

// What a benchmark asks of the machine under a device: the time of work on it, and the rates that
// nothing on it exceeds, measured in this very call, since clocks differ from run to run.
#pragma once

#include <cstdint>

#include "framework/core/dtype.h"

namespace ddpm::bench {

class Machine {
 public:
  // The processors' or the GPU's; a device that is not there is the user's mistake.
  static Machine& of(Device device);
  virtual ~Machine() = default;

  // Seconds of the work that was started in between: wall time of the processors, the time between
  // two events on the GPU's stream, for which `stop` waits. With `cold` the GPU's L2 cache is
  // overwritten first; caches of processors are left as they are.
  virtual void start(bool cold) = 0;
  virtual double stop() = 0;

  // FLOP/s at this moment, out of registers, to tell when others slow the machine down. 0 where
  // nobody else is on it: a GPU.
  virtual double probe() { return 0; }
  // FLOP/s of multiply-adds (processors, out of registers; bf16: AMX where they have it) or of an
  // 8192^3 matrix product of random numbers (GPU, cuBLAS; f32 without TF32).
  virtual double matmul_peak(DType dtype) = 0;
  // Bytes/s, read and written both counted, of a copy that is larger than the caches.
  virtual double copy_peak() = 0;
  // Of a GPU; 0 otherwise.
  virtual int64_t l2_bytes() const { return 0; }
};

// Wall time; with one thread the time that it had a processor, which other processes do not
// stretch.
double seconds_now();

}  // namespace ddpm::bench

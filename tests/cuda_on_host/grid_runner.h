// Runs the blocks of a kernel one after another. A thread of a block runs on until it reaches a
// barrier; there its stack is put aside (a fiber) and the next thread starts, until all have
// arrived. A kernel without barriers is thus a plain loop over its threads, and the order of
// execution is the same in every run.
#pragma once

#include <cuda_runtime.h>

#include <functional>
#include <stdexcept>
#include <string>

namespace cuda_on_host {

// A thread did what CUDA leaves undefined: names the block and the thread.
class KernelError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

void run_grid(const cudaLaunchConfig_t& config, const std::function<void()>& thread_body);

}  // namespace cuda_on_host

// Runs the blocks of a kernel one after another. A thread of a block runs on until it reaches a
// barrier; there its stack is put aside (a fiber) and the next thread starts, until all have
// arrived. A kernel without barriers is thus a plain loop over its threads, and the order of
// execution is the same in every run.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
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

// For what hopper.cpp plays beside the threads.
int current_thread();
uint64_t blocks_started();  // in all grids
size_t dynamic_shared_bytes();
// Lets all other threads go first. A thread says that it is idle when nothing it waits for has
// happened since it last called; when all are idle, none ever goes on, which is an error.
void yield(bool is_idle);

}  // namespace cuda_on_host

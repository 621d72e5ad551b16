// The one stream on which every kernel and copy of the program runs, in the order of the program.
// It is not the default stream, which can not be captured in a graph.
#pragma once

#include <cuda_runtime.h>

namespace ddpm::cuda {

cudaStream_t stream();
void synchronize();  // waits for everything on the stream; never inside a step
int multiprocessor_count();

}  // namespace ddpm::cuda

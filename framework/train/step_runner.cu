// Captures a step in a CUDA graph; see step_runner.h.
#include "framework/cuda/cuda_check.h"
#include "framework/cuda/stream.h"
#include "framework/train/step_runner.h"

namespace ddpm::cuda {
namespace {

class Graph {
 public:
  explicit Graph(const std::function<void()>& step) {
    // Thread-local: other threads may go on calling the runtime.
    DDPM_CUDA_CHECK(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
    cudaGraph_t graph = nullptr;
    try {
      step();
    } catch (...) {
      // Otherwise the stream would record for ever. The error that counts is the step's.
      cudaStreamEndCapture(stream(), &graph);
      if (graph) cudaGraphDestroy(graph);
      throw;
    }
    DDPM_CUDA_CHECK(cudaStreamEndCapture(stream(), &graph));
    const cudaError_t status = cudaGraphInstantiate(&executable_, graph, 0);
    cudaGraphDestroy(graph);
    DDPM_CUDA_CHECK(status);
  }
  ~Graph() { cudaGraphExecDestroy(executable_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void launch() const { DDPM_CUDA_CHECK(cudaGraphLaunch(executable_, stream())); }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace

std::function<void()> capture(const std::function<void()>& step) {
  return [graph = std::make_shared<const Graph>(step)] { graph->launch(); };
}

}  // namespace ddpm::cuda

// The methods of `ddpm edit` at work on batches.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "diffusion/sampler.h"
#include "experiments/runner/editing.h"
#include "experiments/runner/loaded_run.h"

namespace ddpm {

// Whether the method has a mask.
bool is_masked(const EditRequest& request);

// Some rows of one column of edits.
struct EditBatch {
  Tensor x0;                      // (N, H, W, C)
  std::vector<int32_t> from, to;  // (N) classes, or empty
  double strength;
  int64_t first;  // names the noise of the rows
};

// A method at work on batches of one size.
class Edit {
 public:
  virtual ~Edit() = default;
  virtual int64_t steps(double strength) const = 0;  // evaluations of the network for a batch
  virtual Tensor apply(const EditBatch& batch, const SampleObserver& observer) = 0;
  virtual void probe() = 0;  // one step, to learn whether it fits in memory
};

struct EditContext {
  const LoadedRun& run;
  const EditRequest& request;
  std::vector<int32_t> is_known;  // 0 or 1 of every element of an image
};

// Throws a UserError where the run's sampler cannot do it. The context must outlive the edit.
std::unique_ptr<Edit> make_edit(const EditContext& context, int64_t rows);

}  // namespace ddpm

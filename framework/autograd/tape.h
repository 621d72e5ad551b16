// Tape: the operations of a computation in the order they ran. Backward is the same list read in
// reverse, so no topological sort is needed. The innermost living tape records; while none is
// alive nothing is recorded and intermediate values are freed at once (inference).
#pragma once

#include <functional>
#include <initializer_list>
#include <vector>

#include "framework/core/tensor.h"

namespace ddpm {

class Tape {
 public:
  // Vector-Jacobian product: receives d loss/d output, delivers d loss/d input to the slots.
  using Vjp = std::function<void(const Tensor& dy)>;

  Tape();
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  // Fills the gradient of every leaf that requires one. `loss` is a scalar of shape (1).
  // Consumes the tape: saved tensors go back to the pool as soon as they were used.
  void backward(const Tensor& loss);

  // True when the op that calls this has to keep what its vjp needs.
  static bool is_recording(std::initializer_list<Tensor> inputs);
  static void record(const char* name, std::initializer_list<Tensor> inputs, const Tensor& output,
                     Vjp vjp);

 private:
  struct Node {
    const char* name;
    GradRef output;
    Vjp vjp;
  };
  std::vector<Node> nodes_;
  Tape* previous_;
};

// Where an op should write the gradient of a parameter: its own buffer when this is the first
// contribution, else a new tensor; f32 where the parameter is bf16. Pass what was written to
// accumulate_grad.
Tensor grad_buffer(const Tensor& parameter);

// The gradient of `input` so far, taken out of its slot for an op that adds it to its own part as
// it writes that, with one rounding and without another pass. Empty where there is none or the slot
// has to keep it. Pass the sum to accumulate_grad.
Tensor take_grad(const Tensor& input);

// slot.grad += dx. The first contribution is adopted without a copy; later ones are added out of
// place, because a gradient handed to two inputs shares its storage.
void accumulate_grad(const GradRef& slot, const Tensor& dx);

}  // namespace ddpm

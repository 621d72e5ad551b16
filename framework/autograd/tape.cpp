#include "framework/autograd/tape.h"

#include <algorithm>
#include <utility>

#include "framework/ops/elementwise.h"  // the one upward include: gradients are added and seeded

namespace ddpm {
namespace {

thread_local Tape* current_tape = nullptr;

}  // namespace

Tape::Tape() : previous_(std::exchange(current_tape, this)) {}
Tape::~Tape() { current_tape = previous_; }

bool Tape::is_recording(std::initializer_list<Tensor> inputs) {
  return current_tape && std::any_of(inputs.begin(), inputs.end(),
                                     [](const Tensor& x) { return x.requires_grad(); });
}

void Tape::record(const char* name, std::initializer_list<Tensor> inputs, const Tensor& output,
                  Vjp vjp) {
  if (!is_recording(inputs)) return;
  output.slot()->requires_grad = true;
  current_tape->nodes_.push_back({name, output.slot(), std::move(vjp)});
}

Tensor grad_buffer(const Tensor& parameter) {
  const GradRef& slot = parameter.slot();
  if (slot->bound && !slot->grad) return slot->bound;
  return Tensor::empty(slot->shape, accumulator_of(parameter.dtype()), parameter.device());
}

Tensor take_grad(const Tensor& input) {
  const GradRef& slot = input.slot();
  if (!slot || !slot->requires_grad || slot->bound) return {};
  return std::exchange(slot->grad, Tensor());
}

void accumulate_grad(const GradRef& slot, const Tensor& dx) {
  if (!slot || !slot->requires_grad) return;
  DDPM_ASSERT(dx.shape() == slot->shape, "gradient {} for a tensor {}", dx.shape(), slot->shape);
  if (!slot->grad) {
    if (slot->bound && !dx.shares_storage(slot->bound)) slot->bound.copy_from(dx);
    slot->grad = slot->bound ? slot->bound : dx;
  } else if (slot->bound) {
    slot->bound.copy_from(add(slot->grad, dx));
  } else {
    slot->grad = add(slot->grad, dx);
  }
}

void Tape::backward(const Tensor& loss) {
  DDPM_CHECK(loss.numel() == 1, "backward starts from a scalar, not from {}", loss.shape());
  Tape* outer = std::exchange(current_tape, nullptr);  // gradients are not themselves recorded
  loss.grad() = full(loss.shape(), 1.0, loss.dtype(), loss.device());
  while (!nodes_.empty()) {
    Node node = std::move(nodes_.back());
    nodes_.pop_back();
    if (Tensor dy = std::exchange(node.output->grad, Tensor())) node.vjp(dy);
  }
  current_tape = outer;
}

}  // namespace ddpm

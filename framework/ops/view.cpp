#include "framework/ops/view.h"

#include "framework/autograd/tape.h"

namespace ddpm {

Tensor reshape(const Tensor& x, Shape shape) {
  Tensor y = x.reshape(shape);
  Tape::record("reshape", {x}, y, [slot = x.slot()](const Tensor& dy) {
    accumulate_grad(slot, dy.reshape(slot->shape));
  });
  return y;
}

}  // namespace ddpm

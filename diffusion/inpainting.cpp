#include "diffusion/inpainting.h"

#include <cmath>
#include <utility>

#include "diffusion/host_values.h"
#include "diffusion/noise_levels.h"
#include "framework/ops/image_batch.h"
#include "framework/ops/timestep.h"

namespace ddpm {
namespace {

class InpaintingStepper final : public Sampler::Stepper {
 public:
  InpaintingStepper(const GaussianDiffusion& process, std::unique_ptr<Stepper> stepper,
                    const std::vector<Sampler::Visit>& visits, std::vector<int32_t> walk,
                    Tensor known, const std::vector<int32_t>& is_known)
      : stepper_(std::move(stepper)), walk_(std::move(walk)), known_(std::move(known)) {
    const NoiseLevels levels(process.tables());
    const auto level_of = [&](size_t visit) {
      return visit < visits.size() ? levels.at_time(visits[visit].t) : kClean;
    };
    std::vector<double> redrawn, replaced;
    const size_t end = visits.size();
    for (size_t k = 0; k < walk_.size(); ++k) {
      const auto reached = static_cast<size_t>(walk_[k]) + 1;
      const size_t next = k + 1 < walk_.size() ? static_cast<size_t>(walk_[k + 1]) : end;
      // q(x_t | x_s) = N(a x_s, 1 - a^2), a = signal_t / signal_s: DDPM eq. 2 for many steps.
      const double a = level_of(next).signal / level_of(reached).signal;
      const bool jumps = next != reached;
      append(redrawn, {jumps ? a : 1, jumps ? std::sqrt(1 - a * a) : 0});
      // Within a step of several evaluations x is no draw of q, and stays.
      const bool begins_step = next == end || visits[next].begins_step;
      const NoiseLevel at = level_of(next);
      append(replaced,
             {begins_step ? 0.0 : 1.0, begins_step ? at.signal : 0, begins_step ? at.noise : 0});
    }
    const auto upload = [&](const std::vector<double>& values, int64_t terms) {
      return write_values(values, {std::ssize(values) / terms, terms}, process.dtype(),
                          process.device());
    };
    redrawn_ = upload(redrawn, 2);
    replaced_ = upload(replaced, 3);
    choice_ = upload({1, 0, 0, 1}, 2);
    visit_at_ = Tensor::from_host(walk_, {std::ssize(walk_)}, process.device());
    std::vector<int32_t> rows;
    for (int64_t n = 0; n < known_.shape()[0]; ++n)
      rows.insert(rows.end(), is_known.begin(), is_known.end());
    is_known_ = Tensor::from_host(rows, {known_.numel()}, process.device());
  }

  void begin(int64_t first) override { stepper_->begin(walk_[static_cast<size_t>(first)]); }
  bool needs_second_noise() const override { return true; }

  Sampler::Step step(const Sampler::Input& in) override {
    Sampler::Input inner = in;
    inner.index = gather_labels(visit_at_, in.index);
    const Sampler::Step next = stepper_->step(inner);
    // One noise serves both: no element is redrawn and replaced.
    const Tensor& z = in.second_noise;
    const Tensor redrawn = timestep_sum(redrawn_, {next.x, z}, in.index);
    const Tensor replaced = timestep_sum(replaced_, {next.x, known_, z}, in.index);
    // A choice: a term of weight 0 is not read, so that even an infinite x leaves the known exact.
    const Shape elements{known_.numel(), 1};
    const Tensor x =
        timestep_sum(choice_, {redrawn.reshape(elements), replaced.reshape(elements)}, is_known_);
    return {x.reshape(next.x.shape()), next.x0};
  }

 private:
  static void append(std::vector<double>& table, std::initializer_list<double> row) {
    table.insert(table.end(), row);
  }

  std::unique_ptr<Stepper> stepper_;
  std::vector<int32_t> walk_;
  Tensor known_;               // (N, ..., C)
  Tensor redrawn_, replaced_;  // (walk, terms)
  Tensor choice_;              // (2, 2)
  Tensor visit_at_;            // (walk) i32
  Tensor is_known_;            // (elements of a batch) i32
};

}  // namespace

std::vector<int32_t> resampling_walk(int64_t visits, const Resampling& resampling) {
  const int64_t jump = resampling.jump_length;
  std::vector<int64_t> jumps(static_cast<size_t>(visits));  // that are left, on reaching a visit
  for (int64_t before_last = 0; before_last < visits - jump; before_last += jump)
    jumps[static_cast<size_t>(visits - 1 - before_last)] = resampling.resamplings - 1;
  std::vector<int32_t> walk;
  for (int64_t visit = 0; visit < visits;) {
    walk.push_back(static_cast<int32_t>(visit++));
    if (visit == visits || jumps[static_cast<size_t>(visit)] == 0) continue;
    --jumps[static_cast<size_t>(visit)];
    visit -= jump;
  }
  return walk;
}

InpaintingSampler::InpaintingSampler(const Sampler& sampler, Tensor known,
                                     std::vector<int32_t> is_known, const Resampling& resampling)
    : sampler_(sampler),
      known_(std::move(known)),
      is_known_(std::move(is_known)),
      resampling_(resampling) {
  DDPM_ASSERT(std::ssize(is_known_) * known_.shape()[0] == known_.numel(),
              "a mask of {} elements for {}", is_known_.size(), known_.shape());
}

std::vector<Sampler::Visit> InpaintingSampler::visits(const GaussianDiffusion& process) const {
  const std::vector<Visit> once = sampler_.visits(process);
  if (resampling_.resamplings > 1) {
    DDPM_CHECK(!sampler_.has_memory(process),
               "repaint: after a jump back the sampler's earlier estimates are of another x; "
               "samplers whose steps need none: ancestral, ddim");
    DDPM_CHECK(resampling_.jump_length < std::ssize(once),
               "repaint: jumps of {} steps with a sampler that takes {}; at most {} can be",
               resampling_.jump_length, once.size(), once.size() - 1);
  }
  std::vector<Visit> all;
  for (const int32_t visit : resampling_walk(std::ssize(once), resampling_))
    all.push_back(once[static_cast<size_t>(visit)]);
  return all;
}

std::unique_ptr<Sampler::Stepper> InpaintingSampler::stepper(const GaussianDiffusion& process,
                                                             const Shape& shape) const {
  DDPM_ASSERT(shape == known_.shape(), "known {} for {}", known_.shape(), shape);
  const std::vector<Visit> once = sampler_.visits(process);
  return std::make_unique<InpaintingStepper>(process, sampler_.stepper(process, shape), once,
                                             resampling_walk(std::ssize(once), resampling_), known_,
                                             is_known_);
}

}  // namespace ddpm

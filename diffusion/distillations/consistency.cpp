#include "diffusion/distillations/consistency.h"

#include "diffusion/samplers/ddim.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/image_batch.h"
#include "framework/ops/losses.h"
#include "framework/ops/timestep.h"

namespace ddpm {
namespace {

class ConsistencyObjective : public Distillation::Objective {
 public:
  ConsistencyObjective(const GaussianDiffusion& student, const GaussianDiffusion& teacher,
                       int64_t steps, bool from_data, bool clip)
      : student_(student), teacher_(teacher), from_data_(from_data), clip_(clip) {
    const NoiseLevels levels(student.tables());
    check_steps("consistency", steps, levels);
    const std::vector<int32_t> visited = trailing_timesteps(student.timesteps(), steps);
    check_direct(student, visited);
    const auto boundary = student.parameterization().at_level(1, 0);
    DDPM_CHECK(boundary.x0_from_xt == 1 && boundary.x0_from_output == 0,
               "diffusion.parameterization: a consistency model must leave a clean image as it is, "
               "whatever its network says; of those that can be distilled, 'velocity' does");
    // At the first place the second point is the clean image, where no network is asked.
    std::vector<int32_t> earlier = {0};
    earlier.insert(earlier.end(), visited.begin(), visited.end() - 1);
    std::vector<double> of_x0, of_other;
    for (size_t i = 0; i < visited.size(); ++i) {
      const NoiseLevel t = levels.at_time(visited[i]),
                       s = i == 0 ? kClean : levels.at_time(earlier[i]);
      const DdimCoefficients step = ddim_coefficients(t, s, 0);
      of_x0.push_back(from_data ? s.signal : step.x0);
      of_other.push_back(from_data ? s.noise : step.xt);
    }
    timestep_ = Tensor::from_host(visited, {steps}, student.device());
    earlier_ = Tensor::from_host(earlier, {steps}, student.device());
    of_x0_ = student.upload(of_x0);
    of_other_ = student.upload(of_other);
  }

  int places() const override { return static_cast<int>(timestep_.numel()); }

  Tensor losses(const Distillation::Networks& networks, const Tensor& x0, const Tensor& place,
                const Tensor& noise) const override {
    const Tensor t = gather_labels(timestep_, place), s = gather_labels(earlier_, place);
    const Tensor x_t = student_.q_sample(x0, t, noise);
    const auto clipped = [&](const Tensor& x) { return clip_ ? clamp(x, -1, 1) : x; };
    const Tensor x_s =
        from_data_ ? timestep_mix(of_x0_, x0, of_other_, noise, place)
                   : timestep_mix(of_x0_, clipped(x0_of(teacher_, networks.teacher, x_t, t)),
                                  of_other_, x_t, place);
    const Tensor target =
        where_first_timestep(place, x_s, clipped(x0_of(student_, networks.target, x_s, s)));
    return squared_error(x0_of(student_, networks.student, x_t, t), target);
  }

 private:
  const GaussianDiffusion &student_, &teacher_;
  bool from_data_, clip_;
  // By place: t, s; the weights in x_s of x_0, and of x_t or the noise.
  Tensor timestep_, earlier_, of_x0_, of_other_;
};

}  // namespace

ConsistencyDistillation::ConsistencyDistillation(const Config& config, bool from_data)
    : Distillation(config),
      steps_(config.integer("steps", required, 1, 1000000,
                            "noise levels of the paths along which x_0 is to be the same")),
      from_data_(from_data) {}

std::unique_ptr<Distillation::Objective> ConsistencyDistillation::make(
    const GaussianDiffusion& student, const GaussianDiffusion& teacher) const {
  return std::make_unique<ConsistencyObjective>(student, teacher, steps_, from_data_,
                                                clip_denoised());
}

}  // namespace ddpm

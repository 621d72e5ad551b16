#include "experiments/figures/batch_gradient.h"

#include "experiments/figures/figure.h"
#include "framework/autograd/tape.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"

namespace ddpm {

void GradientMoments::add(const std::vector<float>& a, const std::vector<float>& b) {
  double squares = 0, product = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    squares += (x - y) * (x - y);
    product += x * y;
  }
  variance.add(squares / 2);
  squared_mean.add(product);
}

RandomStream batch_stream(const LoadedRun& run, const std::string& site, int64_t batch) {
  return {run.config->seed, random_site(site),
          random_counter(batch, 0, run.model->process.device())};
}

Tensor batch_losses(const LoadedRun& run, const Loss& loss, const Tensor& t, int64_t batch) {
  const DiffusionModel& model = *run.model;
  Tensor indices = Tensor::empty(t.shape(), DType::kI32, t.device());
  fill_epoch_indices(batch_stream(run, "figure/order", batch), run.dataset.train.count, indices);
  const Tensor x0 = model_images(run, run.dataset.train, indices.to_host<int32_t>());
  Tensor noise = Tensor::like(x0), second_noise = Tensor::like(x0);
  fill_normal(batch_stream(run, "figure/noise", batch), noise);
  fill_normal(batch_stream(run, "figure/second_noise", batch), second_noise);
  return model.process.training_losses(loss, model.inference(), x0, t, noise, second_noise);
}

std::vector<float> batch_gradient(LoadedRun& run, const Loss& loss, const TimestepDraw& timesteps,
                                  int64_t batch) {
  Parameters& parameters = run.model->parameters;
  parameters.begin_gradients();
  {
    Tape tape;
    Tensor losses = batch_losses(run, loss, timesteps.t, batch);
    if (timesteps.weights) losses = multiply(losses, timesteps.weights);
    tape.backward(mean(losses));
  }
  parameters.end_gradients();
  return parameters.grad.to_host<float>();
}

}  // namespace ddpm

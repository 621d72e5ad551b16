#include "diffusion/likelihood.h"

#include <algorithm>
#include <utility>

#include "diffusion/host_values.h"
#include "framework/ops/losses.h"
#include "framework/ops/timestep.h"

namespace ddpm {
namespace {

// Edges 0, 1, .., T of `count` strata: {0}, then geometric ones, each at least one step long.
std::vector<int32_t> stratify(int timesteps, int count) {
  std::vector<int32_t> edges = {0, 1};
  for (int i = 1; i < count; ++i) {
    const double edge = std::pow(timesteps, static_cast<double>(i) / (count - 1));
    edges.push_back(std::max(edges.back() + 1, static_cast<int32_t>(std::lround(edge))));
  }
  return edges;
}

}  // namespace

Likelihood::Likelihood(const GaussianDiffusion& process, Model model,
                       const LikelihoodOptions& options)
    : process_(process), model_(std::move(model)), options_(options) {
  const int timesteps = process.timesteps();
  const int evaluations =
      options.evaluations_per_image == 0 ? timesteps : options.evaluations_per_image;
  const int least = std::min(2, timesteps);
  DDPM_CHECK(evaluations >= least && evaluations <= timesteps,
             "likelihood: {} evaluations per image; {} to {} are possible", evaluations, least,
             timesteps);
  strata_ = stratify(timesteps, evaluations);
  fixed_ = {{"fixed_small", process.upload(process.tables().posterior_log_variance)},
            {"fixed_large", process.upload(process.tables().fixed_large_log_variance)}};
  for (const bool clip : {true, false}) {
    report_.reconstructions.push_back({clip, std::vector<Estimate>(timesteps)});
    for (const auto& [name, table] : fixed_) report_.bounds.push_back({name, clip});
    if (process.variance().learned()) report_.bounds.push_back({"model", clip});
  }
  for (VariationalBound& bound : report_.bounds) bound.terms.resize(timesteps);
  report_.rmse_scale = rmse_scale_of(process.levels());
}

Likelihood::Batch::Batch(const Likelihood& likelihood, const Shape& shape)
    : x0(Tensor::empty(shape, likelihood.process_.dtype(), likelihood.process_.device())),
      t(Tensor::empty({shape[0]}, DType::kI32, x0.device())),
      counter(random_counter(0, 0, x0.device())),
      squared_error(Tensor::empty({2, shape[0]}, x0.dtype(), x0.device())),
      terms(Tensor::empty({static_cast<int64_t>(likelihood.report_.bounds.size()), shape[0]},
                          x0.dtype(), x0.device())),
      runner(x0.device(), [this, &likelihood] { likelihood.evaluate(*this); }) {}

// Touches device memory only.
void Likelihood::evaluate(Batch& batch) const {
  const Tensor &x0 = batch.x0, &t = batch.t;
  Tensor noise = Tensor::like(x0);
  fill_normal({options_.seed, random_site("likelihood/noise"), batch.counter}, noise);
  const Tensor x_t = process_.q_sample(x0, t, noise);
  const Tensor output = model_(x_t, t);
  const auto write_row = [&](Tensor& rows, size_t row, const Tensor& values) {
    const int64_t begin = static_cast<int64_t>(row);
    rows.slice(begin, begin + 1).reshape(t.shape()).copy_from(values);
  };
  size_t b = 0;
  for (size_t r = 0; r < report_.reconstructions.size(); ++r) {
    const bool clip = report_.reconstructions[r].clip_denoised;
    const GaussianDiffusion::Reverse p = process_.p_mean_variance(output, x_t, t, clip);
    write_row(batch.squared_error, r, squared_error(p.x0, x0));
    for (size_t v = 0; b < report_.bounds.size() && report_.bounds[b].clip_denoised == clip;
         ++b, ++v) {
      const Tensor log_variance =
          v < fixed_.size() ? timestep_fill(fixed_[v].second, t, x0.shape()) : p.log_variance;
      write_row(batch.terms, b, process_.bound_term(x0, x_t, t, {p.mean, log_variance}));
    }
  }
}

void Likelihood::add(const Tensor& x0, int64_t first_image, const Observer& observer) {
  const int64_t images = x0.shape()[0];
  const std::vector<double> prior = read_values(process_.prior_term(x0));
  for (double p : prior) report_.prior.add(p);
  std::vector<std::vector<double>> rates(report_.bounds.size(), prior);
  std::vector<std::vector<double>> distortions(report_.bounds.size());

  if (!batch_ || batch_->x0.shape() != x0.shape())
    batch_ = std::make_unique<Batch>(*this, x0.shape());
  batch_->x0.copy_from(x0);
  Tensor steps = Tensor::empty({images}, DType::kI32, Device::kCpu);
  for (size_t stratum = 0; stratum + 1 < strata_.size(); ++stratum) {
    const int32_t begin = strata_[stratum], length = strata_[stratum + 1] - begin;
    // The host draws the same bits as a device would.
    const Tensor place = random_counter(static_cast<int64_t>(stratum), first_image, Device::kCpu);
    fill_randint({options_.seed, random_site("likelihood/timestep"), place}, length, steps);
    int32_t* t = steps.data<int32_t>();
    for (int64_t n = 0; n < images; ++n) t[n] += begin;
    batch_->t.copy_from_host(t);
    batch_->counter.copy_from_host(place.raw());
    batch_->runner.run();

    const std::vector<double> error = read_values(batch_->squared_error);
    for (size_t r = 0; r < report_.reconstructions.size(); ++r)
      for (int64_t n = 0; n < images; ++n)
        report_.reconstructions[r].squared_error[t[n]].add(error[r * images + n]);
    const std::vector<double> terms = read_values(batch_->terms);
    for (size_t b = 0; b < report_.bounds.size(); ++b)
      for (int64_t n = 0; n < images; ++n) {
        const double term = terms[b * images + n];
        report_.bounds[b].terms[t[n]].add(term);
        if (begin > 0) rates[b][n] += length * term;
        if (begin == 0) distortions[b].push_back(term);
      }
    if (observer) observer();
  }
  for (size_t b = 0; b < report_.bounds.size(); ++b)
    for (int64_t n = 0; n < images; ++n) {
      report_.bounds[b].rate.add(rates[b][n]);
      report_.bounds[b].distortion.add(distortions[b][n]);
      report_.bounds[b].total.add(rates[b][n] + distortions[b][n]);
    }
}

const VariationalBound& LikelihoodReport::bound(const std::string& variance,
                                                bool clip_denoised) const {
  for (const VariationalBound& b : bounds)
    if (b.variance == variance && b.clip_denoised == clip_denoised) return b;
  fail_user("likelihood: there is no bound under the variance '{}'", variance);
}

std::vector<std::pair<double, double>> rate_distortion(double prior,
                                                       const std::vector<double>& terms,
                                                       const std::vector<double>& rmse) {
  DDPM_ASSERT(terms.size() == rmse.size(), "{} terms and {} errors", terms.size(), rmse.size());
  std::vector<std::pair<double, double>> points;
  double rate = prior;
  for (size_t t = terms.size(); t-- > 0; rate += terms[t]) points.emplace_back(rate, rmse[t]);
  return points;
}

template <class Visit>
void Likelihood::for_each_estimate(LikelihoodReport& report, const Visit& visit) {
  visit(report.prior);
  for (Reconstruction& r : report.reconstructions)
    for (Estimate& e : r.squared_error) visit(e);
  for (VariationalBound& b : report.bounds) {
    for (Estimate* e : {&b.total, &b.rate, &b.distortion}) visit(*e);
    for (Estimate& e : b.terms) visit(e);
  }
}

std::vector<double> Likelihood::state() const {
  std::vector<double> numbers;
  LikelihoodReport report = report_;
  for_each_estimate(report, [&](const Estimate& e) {
    const Estimate::State s = e.state();
    numbers.insert(numbers.end(), {s.count, s.mean, s.squares});
  });
  return numbers;
}

void Likelihood::restore(const std::vector<double>& state) {
  LikelihoodReport report = report_;
  size_t at = 0;
  for_each_estimate(report, [&](Estimate& e) {
    DDPM_ASSERT(at + 3 <= state.size(), "{} numbers of another report", state.size());
    e = Estimate({state[at], state[at + 1], state[at + 2]});
    at += 3;
  });
  DDPM_ASSERT(at == state.size(), "{} numbers of another report", state.size());
  report_ = std::move(report);
}

}  // namespace ddpm

// The networks that whole steps are timed on, as experiments: random images, the configuration of
// `ddpm train`, and the arithmetic that the definition of the network asks for.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "bench/report.h"
#include "data/dataset.h"
#include "experiments/runner/experiment_config.h"

namespace ddpm::bench {

struct Network {
  const char* name;
  const char* config;
  Shape image;  // (H, W, C)
  int levels;
  // Multiply-adds of convolutions, linear maps and attention, counted twice, in FLOP per image.
  // Training is three times forward, less the first convolution's gradient for its input.
  double forward, training;

  Dataset random_images() const;
  ExperimentConfig experiment(int64_t batch, DType precision) const;
};

std::span<const Network> networks();  // digits, cifar10

// The main function of a program with --network and --batch besides the common options: times one
// figure after the other and adds it to the report. Without --batch digits are timed at 128 and
// CIFAR-10 at the batches given here.
struct NetworkProgram {
  const char* description;
  std::string columns;
  std::vector<int64_t> cifar10_batches;
  void (*run_figure)(const Network& network, int64_t batch, const CommonOptions& options,
                     Report& report);

  int main(int argc, char** argv) const;
};

}  // namespace ddpm::bench

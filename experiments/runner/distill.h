// distill: a chain of runs, each a student that takes half the steps of the one before (Salimans &
// Ho 2022): DIR/steps_0032, .., DIR/steps_0001. Each is an ordinary run, trained from its teacher's
// weights, evaluated, and sampled by DDIM in its steps. The same call goes on where it stopped.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "experiments/runner/train.h"

namespace ddpm {

struct DistillRequest {
  std::string teacher, out;                 // run folder; folder of the chain
  int64_t from = 64, to = 1;                // DDIM steps of the teacher and of the last student
  int64_t steps = 1000;                     // optimiser steps of a student; twice that for 2 and 1
  std::vector<std::string> overrides = {};  // of the students' configurations
  std::vector<std::string> argv = {};       // recorded
  ProgressSink* progress = nullptr;
  std::function<void(const std::string&)> announce = {};  // "students of 32 steps, 1/6"
};

struct Student {
  int64_t steps = 0;
  std::string folder;
};

// The students, in order, without a word written; throws a UserError where the chain cannot be.
std::vector<Student> plan_chain(const DistillRequest& request);
// kCompleted, or the status of the student that was not.
RunStatus distill(const DistillRequest& request);

}  // namespace ddpm

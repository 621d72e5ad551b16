// Which code runs a convolution on the CPU. Each of the three passes has a table of algorithms,
// best first; the first that supports the problem on this processor runs. A new algorithm is a pair
// of functions and a line in conv2d_algorithms.cpp, and every conv case then tests it
// (tests/framework/cpu/conv2d_algorithms_test.cpp). DDPM_CONV2D=<name> forces one by name.
#pragma once

#include <span>
#include <string>

#include "framework/core/conv2d_problem.h"

namespace ddpm::cpu {

std::span<const Conv2dAlgorithm> conv2d_algorithms(Conv2dPass pass);
const Conv2dAlgorithm& choose_conv2d_algorithm(Conv2dPass pass, const Conv2dProblem& problem);
// The same from a table of another backend.
const Conv2dAlgorithm& choose_conv2d_algorithm(std::span<const Conv2dAlgorithm> algorithms,
                                               Conv2dPass pass, const Conv2dProblem& problem);
void run_conv2d(Conv2dPass pass, const Conv2dProblem& problem, const Conv2dOperands& operands);

// From here on `name` runs wherever it supports the problem, the usual choice elsewhere. An empty
// name lifts the force; an unknown one is an error that lists the known ones.
void force_conv2d_algorithm(const std::string& name);

// Whether f32 products may be made of bf16 parts: not where an algorithm is forced that does not.
bool may_split_f32();

// Whether Winograd's convolutions may be chosen, which is so at first. They are f32 with a relative
// error of some 1e-6, more than that of a direct convolution: choosing others changes bits.
void allow_winograd(bool allowed);
bool is_winograd_allowed();

// One line per pass for `ddpm doctor`: what a 3x3 convolution in f32 runs on this machine, by the
// tables of one backend.
std::string describe_conv2d_algorithms(
    std::span<const Conv2dAlgorithm> (*algorithms_of)(Conv2dPass) = conv2d_algorithms);

}  // namespace ddpm::cpu

// What `ddpm eval RUN --metrics nll` has measured of a network, for samplers that use it: the mean
// squared error of its estimate of x_0 at every t, on the scale of [-1, 1].
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ddpm {

// (timesteps), NaN where no image was evaluated. `path`: likelihood.json of a run; of its training
// images, or of held-out ones where it has no others. `clip_denoised`: of the clipped estimate. A
// file that is not of such a process is a UserError.
std::vector<double> read_x0_errors(const std::string& path, int64_t timesteps, bool clip_denoised);

}  // namespace ddpm

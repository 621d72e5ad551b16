// Checkpoint: a training run at the end of a step, as HDF5 that h5py reads without help.
//
//   /                      attributes: format, format_version, ddpm_version, git_describe, step,
//                          images_seen, config_json, config_hash, dtype, parameter_count
//   /params/<path>         weights, shapes as in the model: (K, R, S, C), (K, C), (C)
//   /ema/<decay>/<path>    running averages; the group's attribute `decay` is the number
//   /optimizer/m, /v/...   Adam's moments
//   /rng                   attributes: algorithm, seed; streams are functions of these and step
//   /state                 attributes: loss_sum, loss_steps, first_nonfinite_step
//   /state/timestep_...    losses (T, n) and counts (T) that a timestep sampler has seen, if any
//
// Restoring it resumes bit for bit: no other state exists. Equal runs write equal bytes. Beside
// step_N.h5, latest.json names the newest file and its SHA-256.
#pragma once

#include <string>
#include <vector>

#include "framework/train/parameters.h"
#include "framework/train/step_state.h"

namespace ddpm {

class Hdf5Reader;
class Hdf5Writer;

// The parts of a flat buffer as arrays <group>/<path>. Reading checks that paths and shapes are
// exactly those of the parameters.
void write_parameters(Hdf5Writer& file, const std::string& group, const Parameters& parameters,
                      const Tensor& flat);
void read_parameters(const Hdf5Reader& file, const std::string& group, const Parameters& parameters,
                     const Tensor& flat);

struct CheckpointInfo {
  int64_t step = 0, images_seen = 0;
  uint64_t seed = 0;
  std::string config_json, config_hash, ddpm_version, git_describe;
  double loss_sum = 0;  // of the steps since the last logged one
  int64_t loss_steps = 0;
  int64_t first_nonfinite_step = -1;
  std::vector<double> average_decay;
  // What a timestep sampler remembers: (T, n) in rows, and (T); empty if it learns nothing.
  std::vector<float> timestep_losses;
  std::vector<int32_t> timestep_counts;
};

void save_checkpoint(const std::string& path, const CheckpointInfo& info,
                     const Parameters& parameters);

// What the file says of itself; refuses files that are not checkpoints of this format.
CheckpointInfo read_checkpoint_info(const std::string& path);
// Everything, for a resume. Shapes, paths and averages must be those of the model.
CheckpointInfo load_checkpoint(const std::string& path, Parameters& parameters);
// One set of weights into the master buffer, for inference: "raw", "ema", "ema_1", ...
CheckpointInfo load_weights(const std::string& path, const std::string& weights,
                            Parameters& parameters);

// latest.json of a folder: written after the checkpoint it names, read with its digest checked.
void publish_latest(const std::string& folder, const std::string& file_name, int64_t step);
// The path of the newest checkpoint, or "" when the folder has none yet.
std::string find_latest(const std::string& folder);

}  // namespace ddpm

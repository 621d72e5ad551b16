// edit_run: images changed by a trained run, as files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "experiments/runner/progress_sink.h"

namespace ddpm {

struct EditMethod {
  std::string name, help;  // what it does and who says so
};
const std::vector<EditMethod>& edit_methods();

// A setting that is not as it is here and that the method does not use is a UserError.
struct EditRequest {
  std::string run, checkpoint;
  std::string method;
  std::string out;  // a .png grid of input, masked input and edits; edits as an .npz or a folder
  std::vector<std::string> overrides = {};  // those of LoadedRun
  std::string images;                       // a PNG or a folder of them, in the place of a split
  std::string split = "test";               // or "train"
  int64_t first = 0, count = 8;
  int64_t variants = 1;         // edits of each image that differ in their noise alone
  std::string mask = "center";  // of inpaint and repaint: see mask.h
  int64_t jump_length = 10, resamplings = 10;  // of repaint
  // Of sdedit and class, see diffusion/editing.h: an edit for each. Default: 0.5 and 1.
  std::vector<double> strengths;
  int64_t from_class = -1;  // of class; default: the label of an image
  // Of runs that know classes: an edit for each. Default: the label of an image; class needs one.
  std::vector<int64_t> to_classes;
  ProgressSink* progress = nullptr;
};

// Edit v of image i is the same whatever `count` and the batch size are. Returns what was written.
std::vector<std::string> edit_run(const EditRequest& request);

}  // namespace ddpm

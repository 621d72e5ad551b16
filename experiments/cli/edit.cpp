// ddpm edit: images changed by a trained run.
#include <fmt/format.h>

#include "experiments/cli/command.h"
#include "experiments/cli/integer_list.h"
#include "experiments/runner/editing.h"
#include "experiments/runner/mask.h"
#include "framework/core/check.h"

namespace ddpm {
namespace {

struct EditOptions {
  EditRequest request;
  std::string strengths, from_class, to_class, progress = "auto";
};

int run_edit(const EditOptions& options, const OutputOptions& output) {
  Session session(output, options.progress);
  EditRequest request = options.request;
  request.progress = &session.progress;
  request.strengths = parse_number_list("--strength", options.strengths);
  request.to_classes = parse_integer_list("--to-class", options.to_class);
  const std::vector<int64_t> from = parse_integer_list("--from-class", options.from_class);
  DDPM_CHECK(from.size() <= 1, "option --from-class needs one class, found '{}'",
             options.from_class);
  if (!from.empty()) request.from_class = from.front();
  print_files(edit_run(request), output);
  return kExitOk;
}

std::string methods() {
  std::string names;
  for (const EditMethod& method : edit_methods())
    names += (names.empty() ? "" : ", ") + method.name;
  return names;
}

}  // namespace

const Command kEditCommand = {
    {"edit",
     "RUN --method NAME [options] [a.b=v ...]",
     "Edits images with a trained run and prints the files written. Pixels that a mask keeps are "
     "the input's, bit for bit. Edit v of image i is the same for every count and batch size.",
     {"ddpm edit runs/cosine --method inpaint --mask right --variants 4",
      "ddpm edit runs/cosine --method repaint --mask mask.png --images photo.png",
      "ddpm edit runs/cosine --method sdedit --strength 0.3,0.6 --first 10 --count 4",
      "ddpm edit runs/classes --method class --to-class 0-9 --guidance 2",
      "ddpm edit runs/cosine --method inpaint --out edits.npz --count 100"},
     "PATH ending in .png: a grid, a row an image: the input, what the mask leaves of it, its "
     "edits; in .npz: all edits as \"arr_0\", (N, H, W, C) bytes, image by image; any other PATH: "
     "a folder of them"},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<EditOptions>();
      EditRequest& request = options->request;
      line.positional("RUN", request.run, true, "a run folder");
      line.text("--method", request.method, "NAME", methods());
      line.text("-o,--out", request.out, "PATH",
                "a .png for a grid, an .npz, or a folder; default: a grid in the run's samples/");
      line.text("--checkpoint", request.checkpoint, "FILE", "instead of the newest");
      line.assignments(request.overrides);
      line.text("--images", request.images, "PATH",
                "a PNG of the size of the run's images, or a folder of them");
      line.choice("--split", request.split, {"test", "train"}, "NAME",
                  "of the run's data, where --images is not given");
      line.integer("--first", request.first, 0, 1'000'000'000, "N", "the first image");
      line.integer("--count", request.count, 1, 1'000'000, "N", "images");
      line.integer("--variants", request.variants, 1, 64, "N",
                   "edits of each image with noise of their own");
      line.text("--mask", request.mask, "MASK",
                "of inpaint and repaint, what is redrawn: " + known_masks() +
                    ", or a PNG, white where it is redrawn");
      line.integer("--jump-length", request.jump_length, 1, 1'000'000, "N",
                   "of repaint: steps that a jump goes back");
      line.integer("--resamplings", request.resamplings, 1, 10'000, "N",
                   "of repaint: how often each piece is walked");
      line.text("--strength", options->strengths, "LIST",
                "of sdedit and class: the share of the diffusion undone, from 0, the input, to 1; "
                "default: 0.5 of sdedit, 1 of class");
      line.text("--to-class", options->to_class, "LIST",
                "of a class-conditional run: an edit for each; default: the image's own");
      line.text("--from-class", options->from_class, "N",
                "of class: what the images are; default: their labels");
      line.shorthand("--guidance", "sampling.guidance", "W",
                     "of a class-conditional run: 1 draws the classes as they are");
      line.shorthand("--seed", "seed", "N", "names the noise");
      line.shorthand("--device", "device", "NAME", "auto, cpu or cuda");
      line.shorthand("--precision", "precision", "NAME", "f32 or bf16");
      line.shorthand("--threads", "threads", "N", "0: all processors");
      bind_progress(line, options->progress);
      return [options, &line] { return run_edit(*options, line.output()); };
    }};

}  // namespace ddpm

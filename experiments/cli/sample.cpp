// ddpm sample: images from a trained run.
#include <fmt/ranges.h>

#include "experiments/cli/command.h"
#include "experiments/cli/integer_list.h"
#include "experiments/runner/evaluate.h"

namespace ddpm {
namespace {

struct SampleOptions {
  SampleRequest request;
  std::string classes, progress = "auto";
};

int run_sample(const SampleOptions& options, const OutputOptions& output) {
  Session session(output, options.progress);
  SampleRequest request = options.request;
  request.progress = &session.progress;
  if (!options.classes.empty())
    request.overrides.push_back(fmt::format(
        "sampling.classes=[{}]", fmt::join(parse_integer_list("--class", options.classes), ",")));
  print_files(sample_run(request), output);
  return kExitOk;
}

}  // namespace

const Command kSampleCommand = {
    {"sample",
     "RUN [options] [a.b=v ...]",
     "Draws images from a trained run and prints the files written. Image i of a seed is the same "
     "for every count and batch size.",
     {"ddpm sample runs/cosine --out grid.png",
      "ddpm sample runs/cosine --out samples --count 1000 --seed 1",
      "ddpm sample runs/cosine --out samples.npz --count 50000",
      "ddpm sample runs/cosine --out ddim.png sampling.sampler.name=ddim",
      "ddpm sample runs/classes --class 3 --guidance 2"},
     "PATH ending in .png: one grid; in .npz: all images as \"arr_0\", (N, H, W, C) bytes, for "
     "other programs' FID and Inception Score; any other PATH: a folder of single images"},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<SampleOptions>();
      line.positional("RUN", options->request.run, true, "a run folder");
      line.text("-o,--out", options->request.out, "PATH",
                "a .png for a grid, an .npz, or a folder; default: a grid in the run's samples/");
      line.text("--checkpoint", options->request.checkpoint, "FILE", "instead of the newest");
      line.assignments(options->request.overrides);
      line.shorthand("--count", "sampling.count", "N", "images");
      line.text("--class", options->classes, "LIST",
                "of a class-conditional run: such as 3, or 0-4,7 in turn; default: all");
      line.shorthand("--guidance", "sampling.guidance", "W",
                     "of a class-conditional run: 1 draws the classes as they are");
      line.shorthand("--seed", "seed", "N", "names the images");
      line.shorthand("--device", "device", "NAME", "auto, cpu or cuda");
      line.shorthand("--precision", "precision", "NAME", "f32 or bf16");
      line.shorthand("--threads", "threads", "N", "0: all processors");
      bind_progress(line, options->progress);
      return [options, &line] { return run_sample(*options, line.output()); };
    }};

}  // namespace ddpm

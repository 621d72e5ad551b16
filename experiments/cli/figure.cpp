// ddpm figure: the paper's figures of a trained run.
#include "experiments/figures/figure.h"

#include "experiments/cli/command.h"

namespace ddpm {
namespace {

struct FigureOptions {
  FigureRequest request;
  std::string progress = "auto";
};

int run_figure(const FigureOptions& options, const OutputOptions& output) {
  Session session(output, options.progress);
  FigureRequest request = options.request;
  request.progress = &session.progress;
  print_files(draw_figure(request), output);
  return kExitOk;
}

}  // namespace

const Command kFigureCommand = {
    {"figure",
     "NAME [RUN] [options] [a.b=v ...]",
     "Draws a figure of a trained run and prints the files written. 'ddpm list figures' shows the "
     "names and the settings of each, which are written figure.KEY=VALUE. Ctrl-C leaves the files "
     "of an earlier figure as they are; what passes over many images (rate_distortion, "
     "loss_by_timestep, progressive_quality) goes on where it stopped.",
     {"ddpm figure interpolation runs/digits figure.pairs=4",
      "ddpm figure rate_distortion runs/digits --out paper/figures",
      "ddpm figure samples runs/digits --seed 1 sampling.sampler.name=ddim",
      "ddpm figure solver_orders --out docs"},
     "RUN/figures/NAME.svg, and beside it the pictures alone (.png) and the numbers (.csv, .h5)"},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<FigureOptions>();
      line.positional("NAME", options->request.name, true, "one of 'ddpm list figures'");
      line.positional("RUN", options->request.run, false, "a run folder; solver_orders has none");
      line.text("-o,--out", options->request.out, "DIR", "default: RUN/figures, or figures");
      line.text("--checkpoint", options->request.checkpoint, "FILE", "instead of the newest");
      line.assignments(options->request.overrides);
      line.shorthand("--weights", "sampling.weights", "NAME", "ema, ema_1, .. or raw");
      line.shorthand("--seed", "seed", "N", "names the noise");
      line.shorthand("--device", "device", "NAME", "auto, cpu or cuda");
      line.shorthand("--threads", "threads", "N", "0: all processors");
      bind_progress(line, options->progress);
      return [options, &line] { return run_figure(*options, line.output()); };
    }};

}  // namespace ddpm

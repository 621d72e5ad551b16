#include "experiments/figures/figure.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/runner/interrupt.h"
#include "framework/io/file.h"
#include "framework/io/hdf5_file.h"

namespace ddpm {

std::string source_of(const LoadedRun& run, bool with_weights, const std::string& sampler) {
  const std::string& weights = run.config->sampling.weights;
  std::string named = with_weights ? ", weights " + weights : "";
  if (const int index = average_index(weights); with_weights && index >= 0)
    named += fmt::format(" (decay {})", run.info.average_decay.at(static_cast<size_t>(index)));
  std::filesystem::path folder = std::filesystem::path(run.folder.path()).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  const std::string own = fmt::format("{} ({} steps)", run.sampler_name,
                                      run.config->sampler->visits(run.model->process).size());
  return fmt::format("Run {}: data {}, step {}{}, sampler {}, seed {}.", folder.filename().string(),
                     run.dataset.name, run.info.step, named, sampler.empty() ? own : sampler,
                     run.config->seed);
}

namespace {

std::string join(const std::string& a, const std::string& b) {
  return a + (a.empty() || b.empty() ? "" : " ") + b;
}

}  // namespace

FigureFiles::FigureFiles(std::string folder, std::string name)
    : folder_(std::move(folder)), name_(std::move(name)) {}

std::string FigureFiles::path(const char* extension) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  DDPM_CHECK(!error, "{}: cannot create the folder: {}", folder_, error.message());
  written_.push_back(fmt::format("{}/{}.{}", folder_, name_, extension));
  return written_.back();
}

void FigureFiles::write(const char* extension, std::string_view text) {
  write_file_atomically(path(extension), text);
}

void FigureFiles::chart(FigureText text, const std::vector<Panel>& panels, int columns) {
  text.source = join(source_, text.source);
  write("svg", draw_chart(text, panels, columns));
}

void FigureFiles::pictures(FigureText text, const PictureGrid& grid) {
  text.source = join(source_, text.source);
  write("svg", draw_pictures(text, grid));
  write_png(path("png"), grid_pixels(grid));
  Hdf5Writer file(path("h5"));
  file.array<float>("/images", grid.image_shape.batch_of(grid.rows * grid.columns), grid.images);
  file.set_string("/", "title", text.title);
  file.set_string("/", "source", text.source);
  file.set_integer("/images", "rows", grid.rows);
  file.set_integer("/images", "columns", grid.columns);
  const auto set_labels = [&](const char* name, const std::vector<std::string>& labels) {
    file.set_string("/images", name, nlohmann::ordered_json(labels).dump());
  };
  set_labels("row_labels", grid.row_labels);
  set_labels("column_labels", grid.column_labels);
  file.commit();
}

void FigureFiles::csv(const std::vector<std::string>& columns,
                      const std::vector<std::vector<std::string>>& rows) {
  std::string text = fmt::format("{}\n", fmt::join(columns, ","));
  for (const std::vector<std::string>& row : rows) text += fmt::format("{}\n", fmt::join(row, ","));
  write("csv", text);
}

PictureGrid picture_grid(const LoadedRun& run, int64_t rows, int64_t columns) {
  const Shape& shape = run.model->image_shape;
  DDPM_CHECK(has_pictures(shape), "{}: data '{}' of shape {} have no pictures", run.folder.path(),
             run.dataset.name, shape);
  return {.rows = rows,
          .columns = columns,
          .image_shape = shape,
          .levels = run.dataset.levels,
          .images = std::vector<float>(static_cast<size_t>(rows * columns * shape.numel()))};
}

void place(PictureGrid& grid, int64_t row, int64_t column, const float* image) {
  const int64_t size = grid.image_shape.numel();
  std::copy_n(image, size, grid.images.begin() + (row * grid.columns + column) * size);
}

void place_column(PictureGrid& grid, int64_t column, const std::vector<float>& images) {
  for (int64_t row = 0; row < grid.rows; ++row)
    place(grid, row, column, &images[static_cast<size_t>(row * grid.image_shape.numel())]);
}

Tensor example_images(const LoadedRun& run, int64_t count) {
  const bool held_out = run.dataset.test.count > 0;
  const Split& split = held_out ? run.dataset.test : run.dataset.train;
  DDPM_CHECK(count <= split.count, "figure: {} images are needed, data '{}' have {} {} ones", count,
             run.dataset.name, split.count, held_out ? "held-out" : "training");
  return model_images(run, split, 0, count);
}

std::vector<std::string> figure_settings(const std::string& name) {
  ConfigSource source;
  source.set("figure.name=" + name);
  const Config config(std::move(source));
  figures().make(config, "figure", {});
  std::vector<std::string> settings;
  for (const ConfigEntry& entry : config.entries())
    if (entry.path.size() == 2 && entry.path[1] != "name") settings.push_back(entry.path[1]);
  return settings;
}

std::vector<std::string> draw_figure(const FigureRequest& request) {
  static_cast<void>(figures().help(request.name));  // throws for an unknown one
  ConfigSource source;
  std::vector<std::string> of_run;
  for (const std::string& assignment : request.overrides)
    if (assignment.starts_with("figure.")) {
      source.set(assignment);
    } else {
      of_run.push_back(assignment);
    }
  source.set("figure.name=" + request.name);
  const Config config(std::move(source));
  const std::unique_ptr<Figure> figure = figures().make(config, "figure", {});
  config.finish();

  if (!figure->needs_run()) {
    for (const std::string& given : {request.run, request.checkpoint}) of_run.push_back(given);
    std::erase(of_run, "");
    DDPM_CHECK(of_run.empty(),
               "figure {}: it is drawn from no run and takes no setting of one, found '{}'",
               request.name, of_run[0]);
    FigureFiles files(request.out.empty() ? "figures" : request.out, request.name);
    figure->draw_alone(files);
    return files.written();
  }
  DDPM_CHECK(!request.run.empty(), "RUN is missing: figure {} is of a trained run", request.name);
  LoadedRun run(request.run, request.checkpoint, of_run);
  FigureFiles files(request.out.empty() ? run.folder.file("figures") : request.out, request.name);
  files.set_source(source_of(run));
  const InterruptGuard guard;
  try {
    figure->draw({run, files, request.progress});
  } catch (const Interrupted& stop) {
    throw Interrupted(fmt::format("{}; no figure was written", stop.what()));
  }
  return files.written();
}

}  // namespace ddpm

#include "experiments/runner/editing.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "experiments/runner/edit_inputs.h"
#include "experiments/runner/edit_methods.h"
#include "experiments/runner/interrupt.h"
#include "experiments/runner/mask.h"
#include "experiments/runner/memory_advice.h"
#include "experiments/runner/sample_export.h"
#include "experiments/runner/ticker.h"
#include "framework/config/suggest.h"

namespace ddpm {
namespace {

// What can be said without the run.
void check_request(const EditRequest& request) {
  std::vector<std::string> names;
  for (const EditMethod& method : edit_methods()) names.push_back(method.name);
  const std::string& method = request.method;
  DDPM_CHECK(!method.empty(), "--method is missing; known: {}", fmt::join(names, ", "));
  DDPM_CHECK(std::find(names.begin(), names.end(), method) != names.end(),
             "unknown method '{}'; known: {}.{}", method, fmt::join(names, ", "),
             did_you_mean(method, names));
  const auto only_of = [&](bool given, const char* option, bool is_of, const char* methods) {
    DDPM_CHECK(!given || is_of, "{} is of --method {}; {} does not use it", option, methods,
               method);
  };
  const bool masked = is_masked(request), is_class = method == "class";
  const EditRequest defaults;
  only_of(request.mask != defaults.mask, "--mask", masked, "inpaint and repaint");
  only_of(request.jump_length != defaults.jump_length, "--jump-length", method == "repaint",
          "repaint");
  only_of(request.resamplings != defaults.resamplings, "--resamplings", method == "repaint",
          "repaint");
  only_of(!request.strengths.empty(), "--strength", !masked, "sdedit and class");
  only_of(request.variants > 1, "--variants", !is_class, "inpaint, repaint and sdedit");
  only_of(request.from_class >= 0, "--from-class", is_class, "class");
  DDPM_CHECK(!is_class || !request.to_classes.empty(),
             "--method class needs --to-class: the class to change to, or a list of them");
  DDPM_CHECK(request.images.empty() || request.split == defaults.split,
             "--images and --split: images come from files or from the run's data, not both");
  for (const double strength : request.strengths)
    DDPM_CHECK(strength >= 0 && strength <= 1, "--strength {}: is from 0 to 1", strength);
}

void check_classes(const LoadedRun& run, const EditRequest& request, const EditInputs& inputs) {
  const int64_t known = run.model->drawn_of;
  for (const auto& [option, is_asked] : {std::pair("--method class", request.method == "class"),
                                         std::pair("--to-class", !request.to_classes.empty())})
    DDPM_CHECK(known > 0 || !is_asked,
               "{}: the network knows no classes; this run was trained with conditioning.labels "
               "false, and no sampling.classifier guides it",
               option);
  const auto check = [&](const char* option, int64_t label) {
    DDPM_CHECK(label < known, "{} {}: the data '{}' have the {} classes 0 ({}) to {} ({})", option,
               label, run.dataset.name, known, run.dataset.class_names.front(), known - 1,
               run.dataset.class_names.back());
  };
  for (const int64_t label : request.to_classes) check("--to-class", label);
  check("--from-class", request.from_class);
  if (known == 0 || !inputs.labels.empty()) return;
  DDPM_CHECK(request.method != "class" || request.from_class >= 0,
             "--images {}: files have no labels; --from-class says which class they are of",
             request.images);
  DDPM_CHECK(!request.to_classes.empty(),
             "--images {}: files have no labels, and the network wants a class; --to-class says "
             "which",
             request.images);
}

// What sets one column of edits apart from the others.
struct Column {
  int64_t to_class;  // -1: the image's own, or none
  double strength;
};

std::vector<Column> columns_of(const EditRequest& request) {
  const std::vector<int64_t> own = {-1};
  const std::vector<double> usual = {request.method == "sdedit" ? 0.5 : 1.0};
  std::vector<Column> columns;
  for (const int64_t label : request.to_classes.empty() ? own : request.to_classes)
    for (const double strength : request.strengths.empty() ? usual : request.strengths)
      columns.push_back({label, strength});
  return columns;
}

class Editor {
 public:
  Editor(const EditContext& context, const EditInputs& inputs)
      : context_(context),
        inputs_(inputs),
        columns_(columns_of(context.request)),
        variants_(context.request.variants),
        rows_(inputs.count * variants_),
        batch_(std::min(context.run.config->sampling.batch_size, rows_)) {
    use_edit_of(batch_);  // refuses what the run's sampler cannot do
  }

  int64_t edits_of_each() const { return std::ssize(columns_) * variants_; }

  // (count, edits of each, H, W, C)
  std::vector<float> draw() {
    const int64_t size = context_.run.model->image_shape.numel();
    std::vector<float> all(static_cast<size_t>(inputs_.count * edits_of_each() * size));
    int64_t work = 0;
    for (const Column& column : columns_)
      work += (rows_ + batch_ - 1) / batch_ * edit_->steps(column.strength);
    Ticker ticker(context_.request.progress, context_.request.method, work);
    for (size_t c = 0; c < columns_.size(); ++c)
      for (int64_t begin = 0; begin < rows_; begin += batch_) {
        const int64_t rows = std::min(batch_, rows_ - begin);
        const std::vector<float> x = draw_batch(columns_[c], begin, rows, ticker);
        for (int64_t row = 0; row < rows; ++row) {
          const int64_t image = (begin + row) / variants_, variant = (begin + row) % variants_;
          const int64_t place =
              image * edits_of_each() + static_cast<int64_t>(c) * variants_ + variant;
          std::copy_n(x.begin() + row * size, size, all.begin() + place * size);
        }
      }
    return all;
  }

 private:
  void use_edit_of(int64_t rows) {
    if (edit_ && edit_rows_ == rows) return;
    edit_.reset();
    edit_ = make_edit(context_, rows);
    edit_rows_ = rows;
  }

  std::vector<float> draw_batch(const Column& column, int64_t begin, int64_t rows, Ticker& ticker) {
    const DiffusionModel& model = *context_.run.model;
    EditBatch batch{
        .x0 = Tensor::from_host(inputs_.rows(begin, rows, variants_),
                                model.image_shape.batch_of(rows), model.process.device()),
        .from = {},
        .to = {},
        .strength = column.strength,
        .first = inputs_.first * variants_ + begin};
    for (int64_t row = begin; model.drawn_of > 0 && row < begin + rows; ++row) {
      const auto label_or = [&](int64_t given) {
        return given >= 0 ? static_cast<int32_t>(given)
                          : inputs_.labels[static_cast<size_t>(row / variants_)];
      };
      batch.to.push_back(label_or(column.to_class));
      if (context_.request.method == "class")
        batch.from.push_back(label_or(context_.request.from_class));
    }
    try {
      use_edit_of(rows);
      return edit_->apply(batch, [&](int64_t, const ReverseChain&) { ticker.tick(); })
          .to_host<float>();
    } catch (const memory::OutOfMemory& error) {
      edit_.reset();
      fail_with_advice(error, "sampling.batch_size", rows,
                       [&](int64_t fewer) { make_edit(context_, fewer)->probe(); });
    }
  }

  const EditContext& context_;
  const EditInputs& inputs_;
  std::vector<Column> columns_;
  int64_t variants_, rows_, batch_;
  std::unique_ptr<Edit> edit_;
  int64_t edit_rows_ = 0;
};

// The masked pixels in grey.
std::vector<float> without_redrawn(std::vector<float> images, const std::vector<int32_t>& known) {
  for (size_t i = 0; i < images.size(); ++i)
    if (known[i % known.size()] == 0) images[i] = 0;
  return images;
}

// Rows of input, masked input where there is a mask, and edits.
std::vector<float> rows_of(const EditContext& context, const EditInputs& inputs,
                           const std::vector<float>& edits) {
  const int64_t size = context.run.model->image_shape.numel();
  const std::vector<float> masked = without_redrawn(inputs.images, context.is_known);
  std::vector<float> rows;
  const auto append = [&](const std::vector<float>& images, int64_t image, int64_t each) {
    const auto begin = images.begin() + image * each * size;
    rows.insert(rows.end(), begin, begin + each * size);
  };
  for (int64_t i = 0; i < inputs.count; ++i) {
    append(inputs.images, i, 1);
    if (is_masked(context.request)) append(masked, i, 1);
    append(edits, i, std::ssize(edits) / size / inputs.count);
  }
  return rows;
}

std::string default_out(const LoadedRun& run, const EditRequest& request) {
  return run.folder.file(fmt::format("samples/{}_{:08}_{}.png", request.method, run.info.step,
                                     run.config->sampling.weights));
}

}  // namespace

std::vector<std::string> edit_run(const EditRequest& request) {
  check_request(request);
  std::vector<std::string> overrides = request.overrides;
  if (request.method == "class")  // a clipped step has no way back
    overrides.insert(overrides.begin(),
                     {"sampling.sampler.name=ddim", "sampling.sampler.clip_denoised=false"});
  const LoadedRun run(request.run, request.checkpoint, overrides);
  const InterruptGuard guard;
  const Shape& shape = run.model->image_shape;
  const EditInputs inputs =
      read_edit_inputs(run, request.images, request.split, request.first, request.count);
  check_classes(run, request, inputs);
  EditContext context{run, request, std::vector<int32_t>(static_cast<size_t>(shape.numel()), 1)};
  if (is_masked(request)) {
    const std::vector<uint8_t> redrawn = read_mask(request.mask, shape);
    for (size_t i = 0; i < context.is_known.size(); ++i)
      context.is_known[i] = redrawn[i / static_cast<size_t>(shape[2])] == 0;
  }
  Editor editor(context, inputs);
  const std::string out = request.out.empty() ? default_out(run, request) : request.out;
  const bool is_grid = out.ends_with(".png");
  const int64_t columns = editor.edits_of_each() + (is_grid ? (is_masked(request) ? 2 : 1) : 0);
  SampleExport file(out, inputs.count * columns, shape, run.dataset.levels, columns);
  const std::vector<float> edits = editor.draw();
  file.add(is_grid ? rows_of(context, inputs, edits) : edits);
  return file.finish();
}

}  // namespace ddpm

#include "experiments/runner/edit_methods.h"

#include "diffusion/editing.h"
#include "diffusion/inpainting.h"
#include "diffusion/samplers/ddim.h"

namespace ddpm {
namespace {

class InpaintingEdit final : public Edit {
 public:
  InpaintingEdit(const EditContext& context, const Shape& shape)
      : known_(Tensor::zeros(shape, DType::kF32, context.run.model->process.device())),
        labels_(context.run.model->class_labels(shape[0])),
        sampler_(*context.run.config->sampler, known_, context.is_known, resampling(context)),
        chain_(context.run.model->process, sampler_, context.run.model->guided(labels_), shape,
               context.run.config->seed) {}

  int64_t steps(double) const override { return chain_.steps(); }
  Tensor apply(const EditBatch& batch, const SampleObserver& observer) override {
    known_.copy_from(batch.x0);
    DiffusionModel::write_labels(batch.to, labels_);
    return sample(chain_, batch.first, observer);
  }
  void probe() override {
    chain_.start(0);
    chain_.step();
  }

 private:
  static Resampling resampling(const EditContext& context) {
    if (context.request.method == "inpaint") return {};
    return {.jump_length = context.request.jump_length, .resamplings = context.request.resamplings};
  }

  Tensor known_, labels_;
  InpaintingSampler sampler_;
  ReverseChain chain_;
};

class SdEdit final : public Edit {
 public:
  SdEdit(const EditContext& context, const Shape& shape)
      : labels_(context.run.model->class_labels(shape[0])),
        chain_(context.run.model->process, *context.run.config->sampler,
               context.run.model->guided(labels_), shape, context.run.config->seed) {}

  int64_t steps(double strength) const override {
    return strength == 0 ? 0 : chain_.steps() - edit_begins(chain_, strength);
  }
  Tensor apply(const EditBatch& batch, const SampleObserver& observer) override {
    DiffusionModel::write_labels(batch.to, labels_);
    return sdedit(chain_, batch.x0, batch.strength, batch.first, observer);
  }
  void probe() override {
    chain_.start(0);
    chain_.step();
  }

 private:
  Tensor labels_;
  ReverseChain chain_;
};

// The run's DDIM, which must have a way back.
const DdimSampler& reversible(const LoadedRun& run) {
  const auto* ddim = dynamic_cast<const DdimSampler*>(run.config->sampler.get());
  DDPM_CHECK(ddim,
             "--method class: of all samplers ddim alone has a way back from an image to its "
             "x_T; sampling.sampler.name is {}",
             run.sampler_name);
  DDPM_CHECK(ddim->is_deterministic(run.model->process),
             "--method class: this ddim adds noise and has no way back from an image to its x_T; "
             "set sampling.sampler.eta=0 and what else gives it noise");
  return *ddim;
}

class ClassEdit final : public Edit {
 public:
  ClassEdit(const EditContext& context, const Shape& shape)
      : from_(context.run.model->class_labels(shape[0])),
        to_(context.run.model->class_labels(shape[0])),
        there_(context.run.model->process, DdimInversion(reversible(context.run)),
               context.run.model->inference(from_), shape, context.run.config->seed),
        back_(context.run.model->process, reversible(context.run), context.run.model->guided(to_),
              shape, context.run.config->seed) {}

  int64_t steps(double strength) const override { return bridge_steps(there_, back_, strength); }
  Tensor apply(const EditBatch& batch, const SampleObserver& observer) override {
    DiffusionModel::write_labels(batch.from, from_);
    DiffusionModel::write_labels(batch.to, to_);
    return bridge(there_, back_, batch.x0, batch.strength, observer);
  }
  void probe() override {
    for (ReverseChain* chain : {&there_, &back_}) {
      chain->start(0);
      chain->step();
    }
  }

 private:
  Tensor from_, to_;
  ReverseChain there_, back_;
};

}  // namespace

const std::vector<EditMethod>& edit_methods() {
  static const std::vector<EditMethod> all = {
      {"inpaint",
       "redraws what a mask leaves open; the rest is replaced by its own noised self after every "
       "step (Song et al. 2021)"},
      {"repaint",
       "the same, going back and forth so that the two fit together (Lugmayr et al. 2022)"},
      {"sdedit", "adds noise up to a strength and takes it away again (Meng et al. 2022)"},
      {"class",
       "back to x_T by DDIM under one class, and home under another (Song et al. 2021; Su et al. "
       "2023)"},
  };
  return all;
}

bool is_masked(const EditRequest& request) {
  return request.method == "inpaint" || request.method == "repaint";
}

std::unique_ptr<Edit> make_edit(const EditContext& context, int64_t rows) {
  const Shape shape = context.run.model->image_shape.batch_of(rows);
  if (is_masked(context.request)) return std::make_unique<InpaintingEdit>(context, shape);
  if (context.request.method == "sdedit") return std::make_unique<SdEdit>(context, shape);
  return std::make_unique<ClassEdit>(context, shape);
}

}  // namespace ddpm

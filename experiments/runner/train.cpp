#include "experiments/runner/train.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/runner/build_info.h"
#include "experiments/runner/evaluate.h"
#include "experiments/runner/guiding_classifier.h"
#include "experiments/runner/interrupt.h"
#include "experiments/runner/loaded_run.h"
#include "experiments/runner/memory_advice.h"
#include "experiments/runner/result.h"
#include "experiments/runner/run_folder.h"
#include "experiments/runner/sampling.h"
#include "experiments/runner/trainer.h"
#include "framework/io/sha256.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

// Settings that may change between a run and its resumption: they do not change a finished step. On
// another device, by other algorithms or in another precision, the checkpoint, which is always f32,
// is continued.
bool may_differ(const std::string& key) {
  for (const char* allowed :
       {"name", "device", "precision", "threads", "cpu.winograd", "training.steps",
        "training.accumulation", "training.log_every", "training.checkpoint_every",
        "training.sample_every", "training.evaluate_every", "training.keep_checkpoints"})
    if (key == allowed) return true;
  return key.starts_with("sampling.") || key.starts_with("evaluation.");
}

void check_resumable(const Json& recorded, const Json& asked, const std::string& folder) {
  std::string refused;
  for (const std::string& key : differing_keys(recorded, asked))
    if (!may_differ(key)) refused += (refused.empty() ? "" : ", ") + key;
  DDPM_CHECK(refused.empty(), "{}: cannot resume: the configuration differs from the run's in {}",
             folder, refused);
}

std::string next_run_folder(const std::string& name) {
  int next = 0;
  if (std::filesystem::is_directory("runs"))
    for (const auto& entry : std::filesystem::directory_iterator("runs")) {
      const std::string file = entry.path().filename().string();
      if (file.size() >= 5 && std::all_of(file.begin(), file.begin() + 5, ::isdigit))
        next = std::max(next, std::stoi(file.substr(0, 5)) + 1);
    }
  return fmt::format("runs/{:05}-{}", next, name.empty() ? "run" : name);
}

bool same_slots(const Parameters& a, const Parameters& b) {
  return std::equal(a.slots().begin(), a.slots().end(), b.slots().begin(), b.slots().end(),
                    [](const Parameters::Slot& x, const Parameters::Slot& y) {
                      return x.path == y.path && x.shape == y.shape;
                    });
}

// What a teacher and its student must have in common, beside what their processes must.
void check_teacher(const LoadedRun& teacher, const Distillation& distillation,
                   const DiffusionModel& student) {
  const std::string& path = distillation.teacher();
  const DiffusionModel& model = *teacher.model;
  DDPM_CHECK(model.image_shape == student.image_shape,
             "distillation.teacher {}: its images have shape {}, those of 'data' {}", path,
             model.image_shape, student.image_shape);
  DDPM_CHECK(model.classes == student.classes,
             "distillation.teacher {}: its network knows {} classes, the student's {}: "
             "conditioning.labels and 'data' must agree",
             path, model.classes, student.classes);
  const std::string& sha256 = distillation.teacher_sha256();
  DDPM_CHECK(sha256.empty() || sha256 == sha256_file(teacher.checkpoint),
             "distillation.teacher_sha256: {} is not the checkpoint that this run began to learn "
             "from; was the teacher trained on? 'ddpm distill' into another folder begins anew",
             teacher.checkpoint);
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A run from its first to its last step in this process.
class Run {
 public:
  explicit Run(TrainRequest request)
      : request_(std::move(request)),
        config_reader_(std::move(request_.source)),
        config_(config_reader_) {
    config_reader_.finish();
    resolved_ = config_reader_.resolved();
    apply_cpu_options(config_);
    device_ = choose_device(config_.device, config_.precision);
    dataset_ = config_.data->load();
    DDPM_CHECK(dataset_.train.count > 0, "data: '{}' has no training images", dataset_.name);
    sampler_ = std::move(config_.sampler);
    model_ = std::make_unique<DiffusionModel>(config_, dataset_, device_.device);
    static_cast<void>(sampler_->visits(model_->process));  // throws if it cannot serve the model
    if (config_.distillation) load_teacher();
    if (request_.out.empty()) request_.out = next_run_folder(config_.name);
  }

  Json plan() const {
    const int64_t weights = model_->parameters.count();
    return {
        {"config", resolved_},
        {"folder", request_.out},
        {"parameters", weights},
        // master, gradient, two moments and the averages, 4 bytes each; in bf16 a copy of 2 bytes
        {"parameter_bytes",
         weights * (4 * (4 + config_.optimizer.averages) + (config_.precision == "bf16" ? 2 : 0))},
        {"dataset",
         {{"name", dataset_.name},
          {"train", dataset_.train.count},
          {"test", dataset_.test.count},
          {"shape", {dataset_.image_shape[0], dataset_.image_shape[1], dataset_.image_shape[2]}},
          {"levels", dataset_.levels}}},
        {"steps", config_.training.steps},
        {"epochs", static_cast<double>(config_.training.steps * config_.training.batch_size) /
                       static_cast<double>(dataset_.train.count)}};
  }

  TrainOutcome execute() {
    announce(device_);
    open_folder();
    trainer_ = std::make_unique<Trainer>(*model_, config_, dataset_,
                                         teacher_ ? teacher_->model.get() : nullptr);
    Json result = new_result(request_, resolved_, dataset_, device_);
    if (!checkpoint_.empty()) {
      const CheckpointInfo info = load_checkpoint(checkpoint_, model_->parameters);
      trainer_->restore(info);
      outcome_.step = saved_step_ = info.step;
    }
    folder_->truncate_metrics(outcome_.step);
    write_run_json("running");
    const InterruptGuard guard;
    started_ = Clock::now();
    try {
      loop();
    } catch (...) {
      write_run_json(name_of(RunStatus::kFailed));
      throw;
    }
    finish(result);
    if (outcome_.status == RunStatus::kCompleted && config_.training.evaluate_every > 0)
      evaluate_last();
    return outcome_;
  }

 private:
  // Every error of a distillation shows here, before anything is written.
  void load_teacher() {
    const Distillation& distillation = *config_.distillation;
    teacher_ = std::make_unique<LoadedRun>(
        distillation.teacher(), "",
        std::vector<std::string>{fmt::format("device={}", name_of(device_.device)),
                                 "precision=" + config_.precision});
    apply_cpu_options(config_);  // those of the teacher were another run's
    teacher_->dataset = {};
    check_teacher(*teacher_, distillation, *model_);
    static_cast<void>(distillation.objective(model_->process, teacher_->model->process));
    // A network like the teacher's begins with its weights.
    if (same_slots(model_->parameters, teacher_->model->parameters)) {
      model_->parameters.master.copy_from(teacher_->model->parameters.master);
      model_->parameters.use_master();
    } else {
      DDPM_CHECK(!distillation.is_of_one_network(),
                 "model: this distillation is of a network like that of its teacher {}, whose "
                 "parameters have other names or shapes; 'output' is for others",
                 distillation.teacher());
    }
  }

  void open_folder() {
    if (!request_.resume) {
      folder_ = RunFolder::create(request_.out, request_.overwrite);
    } else {
      folder_ = RunFolder::open(request_.out);
      check_resumable(
          with_defaults(folder_->read_json("config.json"), folder_->file("config.json")), resolved_,
          request_.out);
      checkpoint_ = find_latest(folder_->checkpoints());
      if (!checkpoint_.empty() && std::filesystem::exists(folder_->file("run.json")))
        trained_in_ = folder_->read_json("run.json").value("trained_in", "");
    }
    folder_->write_json("config.json", resolved_);
    outcome_.folder = request_.out;
    if (request_.on_folder) request_.on_folder(request_.out);
  }

  void loop() {
    const TrainingOptions& options = config_.training;
    if (request_.progress)
      request_.progress->begin("train", std::max(options.steps, outcome_.step), outcome_.step);
    const int64_t first_step = outcome_.step;
    // Its checkpoint was written, but perhaps not what it is worth.
    bool stop = !evaluate_if_due();
    while (!stop && outcome_.step < options.steps) {
      step_or_advise();
      const int64_t step = ++outcome_.step;
      const auto due = [&](int64_t every) {
        return every > 0 && (step % every == 0 || step == options.steps);
      };
      stop = interrupt_signal() != 0;
      if (due(options.log_every) || stop) diverged_ = !log(first_step);
      if (diverged_) break;
      if (request_.progress) request_.progress->update(step, fields_);
      if (due(options.checkpoint_every) || step == options.steps || stop) save();
      if (due(options.sample_every)) draw_grid();
      stop = stop || !evaluate_if_due();
    }
    if (request_.progress) request_.progress->end();
  }

  void step_or_advise() {
    try {
      trainer_->step();
    } catch (const memory::OutOfMemory& error) {
      const TrainingOptions& options = config_.training;
      fail_with_advice(error, "training.batch_size/accumulation",
                       options.batch_size / options.accumulation,
                       [this](int64_t rows) { trainer_->probe(rows); });
    }
  }

  // Writes a line of metrics; false when the run has diverged. A line that an interruption made
  // early would be missing from an uninterrupted run: the mean goes on over the whole interval
  // instead.
  bool log(int64_t first_step) {
    const StepScalars scalars = trainer_->read_scalars();
    const double loss = trainer_->read_mean_loss();
    if (scalars.first_nonfinite_step >= 0 || !std::isfinite(loss)) {
      outcome_.step =
          scalars.first_nonfinite_step >= 0 ? scalars.first_nonfinite_step : outcome_.step;
      outcome_.reason = fmt::format("the gradient of step {} is not finite", outcome_.step);
      return false;
    }
    last_loss_ = loss;
    fields_ = {{"loss", fmt::format("{:.4g}", loss)},
               {"lr", fmt::format("{:.1e}", scalars.learning_rate)}};
    const int64_t every = config_.training.log_every, steps = config_.training.steps;
    if (outcome_.step % every != 0 && outcome_.step != steps) return true;
    const double seconds = seconds_since(started_);
    const double images =
        static_cast<double>((outcome_.step - first_step) * config_.training.batch_size);
    folder_->append_metrics({{"step", outcome_.step},
                             {"loss", loss},
                             {"grad_norm", finite_or_null(scalars.grad_norm)},
                             {"learning_rate", scalars.learning_rate},
                             {"images_per_second", images / seconds},
                             {"seconds", seconds}});
    trainer_->reset_loss();
    return true;
  }

  void save() {
    if (saved_step_ == outcome_.step) return;
    CheckpointInfo info = trainer_->checkpoint_info();
    info.config_json = resolved_.dump();
    info.config_hash = config_hash(resolved_);
    info.ddpm_version = program_version();
    info.git_describe = git_describe();
    const std::string path = folder_->checkpoint(outcome_.step);
    save_checkpoint(path, info, model_->parameters);
    publish_latest(folder_->checkpoints(), std::filesystem::path(path).filename(), outcome_.step);
    folder_->prune_checkpoints(config_.training.keep_checkpoints);
    saved_step_ = outcome_.step;
  }

  void draw_grid() {
    const SamplingOptions& options = config_.sampling;
    const WeightsScope scope(model_->parameters, options.weights);
    const std::vector<float> samples =
        draw_samples(*model_, *sampler_, config_.seed, 0, options.count, options.batch_size);
    write_grid(folder_->sample_grid(outcome_.step, options.weights), samples, model_->image_shape,
               dataset_.levels);
  }

  EvaluateRequest evaluation() const {
    return {.run = request_.out,
            .overrides = {fmt::format("device={}", name_of(device_.device))},
            .progress = request_.progress};
  }

  // Measures the weights of this step, from its checkpoint; those of the last step are left to
  // evaluate_last. False if a signal stopped it: the resumed run begins with it.
  bool evaluate_if_due() {
    const int64_t every = config_.training.evaluate_every, steps = config_.training.steps;
    const int64_t step = outcome_.step;
    if (every == 0 || step == 0 || step % every != 0 || step >= steps) return true;
    if (folder_->has_evaluation(step)) return true;
    save();
    const Clock::time_point begin = Clock::now();
    if (request_.progress) request_.progress->end();
    try {
      folder_->append_metrics(measure(evaluation()));
    } catch (const Interrupted&) {
      return false;
    }
    started_ += Clock::now() - begin;  // no time of training
    if (request_.progress) request_.progress->begin("train", steps, step);
    return true;
  }

  void evaluate_last() {
    trainer_.reset();
    try {
      outcome_.status = evaluate(evaluation());
      if (outcome_.status == RunStatus::kDiverged)
        outcome_.reason = folder_->read_json("result.json").value("reason", "");
    } catch (const Interrupted&) {
      outcome_.status = RunStatus::kInterrupted;
      outcome_.reason =
          fmt::format("signal {} while the last weights were evaluated", interrupt_signal());
    }
  }

  void finish(Json& result) {
    outcome_.status = diverged_                                ? RunStatus::kDiverged
                      : outcome_.step < config_.training.steps ? RunStatus::kInterrupted
                                                               : RunStatus::kCompleted;
    if (outcome_.status == RunStatus::kInterrupted)
      outcome_.reason = fmt::format("signal {} after step {}", interrupt_signal(), outcome_.step);
    const double seconds = seconds_since(started_);
    result["status"] = name_of(outcome_.status);
    if (!trained_in_.empty()) result["trained_in"] = trained_in_;
    if (!outcome_.reason.empty()) result["reason"] = outcome_.reason;
    if (diverged_) result["diverged_at_step"] = outcome_.step;
    if (std::isnan(last_loss_)) last_loss_ = folder_->last_loss();  // resumed at its last step
    result["metrics"]["loss_final"] = finite_or_null(last_loss_);
    result["metrics"]["parameters"] = model_->parameters.count();
    result["metric_info"]["loss_final"] = {{"better", "lower"},
                                           {"of", "the mean over the last logged interval"}};
    if (model_->classifies) add_accuracy(result);
    result["timing"] = {{"train_s", seconds}, {"peak_mem_bytes", peak_memory_bytes()}};
    result["finished"] = utc_now();
    folder_->write_json("result.json", result);
    write_run_json(name_of(outcome_.status));
  }

  void add_accuracy(Json& result) {
    const Json at_noise =
        classifier_accuracy(*model_, dataset_, config_.sampling.weights, config_.seed);
    if (at_noise.is_null()) return;
    double sum = 0;
    for (const Json& accuracy : at_noise["accuracy"]) sum += accuracy.get<double>();
    result["metrics"]["accuracy_test"] = sum / static_cast<double>(at_noise["accuracy"].size());
    result["metric_info"]["accuracy_test"] = {
        {"better", "higher"},
        {"is", "the share of noisy held-out images whose class is told, a mean over timesteps"},
        {"n", dataset_.test.count},
        {"at", at_noise}};
  }

  void write_run_json(const std::string& status) const {
    folder_->write_json("run.json", {{"schema", "ddpm.run/1"},
                                     {"status", status},
                                     {"argv", request_.argv},
                                     {"overrides", request_.overrides},
                                     {"resumed_from", checkpoint_},
                                     {"trained_in", trained_in_},
                                     {"git", git_json()},
                                     {"host", host_json()},
                                     {"device", device_json(device_)},
                                     {"build", build_json()},
                                     {"pid", getpid()},
                                     {"written", utc_now()}});
  }

  TrainRequest request_;
  Config config_reader_;
  ExperimentConfig config_;
  Json resolved_;
  DeviceChoice device_;
  Dataset dataset_;
  std::unique_ptr<Sampler> sampler_;
  std::unique_ptr<DiffusionModel> model_;
  std::unique_ptr<LoadedRun> teacher_;  // of a distillation
  std::unique_ptr<Trainer> trainer_;
  std::optional<RunFolder> folder_;
  std::string checkpoint_;  // that the run resumed from
  std::string trained_in_;  // the run of a study that this one has its weights from
  TrainOutcome outcome_;
  Clock::time_point started_;
  std::vector<ProgressField> fields_;
  double last_loss_ = NAN;
  int64_t saved_step_ = -1;
  bool diverged_ = false;
};

}  // namespace

std::string name_of(RunStatus status) {
  switch (status) {
    case RunStatus::kCompleted: return "completed";
    case RunStatus::kDiverged: return "diverged";
    case RunStatus::kFailed: return "failed";
    case RunStatus::kInterrupted: return "interrupted";
  }
  return "?";
}

int exit_code(RunStatus status) {
  switch (status) {
    case RunStatus::kCompleted: return 0;
    case RunStatus::kDiverged: return 3;
    case RunStatus::kFailed: return 1;
    case RunStatus::kInterrupted: return interrupt_signal() == SIGTERM ? 143 : 130;
  }
  return 1;
}

TrainOutcome train(TrainRequest request) { return Run(std::move(request)).execute(); }

Json plan(TrainRequest request) { return Run(std::move(request)).plan(); }

}  // namespace ddpm

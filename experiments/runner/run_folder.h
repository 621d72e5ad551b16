// RunFolder: what one training run leaves on disk.
//
//   config.json      the resolved configuration        run.json     command, machine, build, status
//   metrics.jsonl    a line a logged step, a line an   result.json  one object: what came of it
//                    evaluation during training
//   checkpoints/     step_00000100.h5, latest.json      samples/     PNG grids
//   likelihood.json  the bound, term by term (after `eval`)          run.log
//
// Nothing is overwritten silently: create() refuses a folder that is not empty. Every file but
// metrics.jsonl is written whole, metrics.jsonl one line per write.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace ddpm {

class RunFolder {
 public:
  // A new, empty folder; with `overwrite` what a former run left is removed first.
  static RunFolder create(const std::string& path, bool overwrite);
  // An existing run, to resume or to evaluate: it must hold a config.json.
  static RunFolder open(const std::string& path);
  static bool is_run(const std::string& path);

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string checkpoints() const { return file("checkpoints"); }
  std::string checkpoint(int64_t step) const;
  std::string sample_grid(int64_t step, const std::string& weights) const;

  void write_json(const std::string& name, const nlohmann::ordered_json& json) const;
  nlohmann::ordered_json read_json(const std::string& name) const;

  void append_metrics(const nlohmann::ordered_json& line) const;
  // Drops a torn last line and all lines after `step`, so that a resumed run appends to exactly
  // what it had written when its checkpoint was made.
  void truncate_metrics(int64_t step) const;
  // Of the last line of metrics that has one; NaN when there is none.
  double last_loss() const;
  // The lines of metrics that evaluations left (see measure()), with these settings, by step.
  std::vector<nlohmann::ordered_json> evaluations(const std::string& settings) const;
  bool has_evaluation(int64_t step) const;
  // Removes all but the newest `keep` checkpoints.
  void prune_checkpoints(int64_t keep) const;

 private:
  explicit RunFolder(std::string path) : path_(std::move(path)) {}
  std::vector<nlohmann::ordered_json> metrics() const;
  std::string path_;
};

}  // namespace ddpm

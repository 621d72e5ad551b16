// Config: strict reading of a configuration.
//
//   Config config(ConfigSource::parse_file("run.json"));
//   int64_t steps = config.integer("steps", 1000, 1, 100000, "diffusion steps");
//   auto schedule = schedules().make(config, "schedule", "linear");   // config/registry.h
//   config.finish();
//
// A Config is a cursor: copies and children share one list of what was read and of what was wrong.
// A bad value is recorded and the default returned in its place, so that finish() can report every
// error at once, including every key that nobody asked for. What was read, with all defaults filled
// in, is resolved(); what may be read is entries().
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "framework/config/config_source.h"

namespace ddpm {

// In place of a default: the key must be given.
inline constexpr std::nullopt_t required = std::nullopt;

// The largest integer that every JSON reader keeps exactly. As a bound: no limit.
inline constexpr int64_t kMaxInteger = int64_t{1} << 53;
inline constexpr double kMaxNumber = 1.7976931348623157e308;

// Bounds of a number that are themselves not allowed.
enum class Exclude : uint8_t { kNone, kMin, kMax, kBoth };

// One key that was asked for. Values are JSON texts.
struct ConfigEntry {
  ConfigPath path;
  std::string type;  // as in JSON Schema: integer number boolean string array object, or any
  std::string item_type = {};  // of an array
  std::string help = {};
  std::string default_json = {};  // empty: required
  std::string value_json = {};
  std::string origin = {};         // default, file:line:column, --set a.b=v
  std::string min = {}, max = {};  // empty: unbounded
  Exclude exclude = Exclude::kNone;
  std::vector<std::string> choices = {};
  bool is_variant = false;  // an object {"name": choice, ...} that may be written as just "choice"
};

class Config {
 public:
  explicit Config(ConfigSource source);

  int64_t integer(std::string_view key, std::optional<int64_t> default_value, int64_t min,
                  int64_t max, std::string_view help) const;
  double number(std::string_view key, std::optional<double> default_value, double min, double max,
                std::string_view help, Exclude exclude = Exclude::kNone) const;
  bool boolean(std::string_view key, std::optional<bool> default_value,
               std::string_view help) const;
  std::string string(std::string_view key, std::optional<std::string> default_value,
                     std::string_view help) const;
  std::string choice(std::string_view key, std::optional<std::string> default_value,
                     const std::vector<std::string>& names, std::string_view help) const;

  std::vector<int64_t> integers(std::string_view key,
                                std::optional<std::vector<int64_t>> default_value, int64_t min,
                                int64_t max, std::string_view help) const;
  std::vector<double> numbers(std::string_view key,
                              std::optional<std::vector<double>> default_value, double min,
                              double max, std::string_view help,
                              Exclude exclude = Exclude::kNone) const;
  // With `names`, each element must be one of them.
  std::vector<std::string> strings(std::string_view key,
                                   std::optional<std::vector<std::string>> default_value,
                                   std::string_view help,
                                   const std::vector<std::string>& names = {}) const;
  // Any JSON value.
  nlohmann::ordered_json json(std::string_view key,
                              const std::optional<nlohmann::ordered_json>& default_value,
                              std::string_view help) const;

  // The object at `key`; a missing one reads as empty.
  Config child(std::string_view key, std::string_view help) const;
  struct Variant;
  // The object {"name": one of `names`, ...} at `key`, or its short form "name".
  Variant variant(std::string_view key, std::optional<std::string> default_name,
                  const std::vector<std::string>& names, std::string_view help) const;

  bool has(std::string_view key) const;
  // Every key of this object, in the order of the file: for objects whose keys the user chooses.
  std::vector<std::string> keys() const;
  // Reports what only the caller can see: error("image_size", "must be divisible by 8, found 30").
  void error(std::string_view key, std::string_view message) const;

  // Throws one UserError with all errors, if there are any.
  void finish() const;
  // All that was read, in reading order, defaults included. The same for every cursor.
  const nlohmann::ordered_json& resolved() const;
  const std::vector<ConfigEntry>& entries() const;

 private:
  struct State;
  template <class T, class Check>
  T read(std::string_view key, ConfigEntry entry, const std::optional<T>& default_value, T fallback,
         Check check) const;
  ConfigPath path_of(std::string_view key) const;
  Config(std::shared_ptr<State> state, ConfigPath path);

  std::shared_ptr<State> state_;
  ConfigPath path_;
};

struct Config::Variant {
  std::string name;
  Config config;
};

// "sha256:" and the digest of the JSON with sorted keys and no spaces: equal configurations have
// equal hashes, however they were written.
std::string config_hash(const nlohmann::ordered_json& resolved);

}  // namespace ddpm

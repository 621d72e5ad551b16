// See config.h. Each read is a check (JSON value -> typed value or complaints) given to
// Config::read, which alone knows about defaults, required keys, records and errors.
#include "framework/config/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "framework/config/suggest.h"
#include "framework/core/check.h"
#include "framework/io/sha256.h"

namespace ddpm {

namespace {

using Json = nlohmann::ordered_json;

// "'key' <text>, found <value>.<hint>", about an element of a list if `index` is not empty.
struct Complaint {
  std::string text;
  std::string hint = {};
  std::string index = {};
};
using Complaints = std::vector<Complaint>;

std::string found(const Json& value) {
  constexpr size_t kMaxShown = 60;
  std::string text = value.is_object() ? "an object" : value.dump();
  if (text.size() > kMaxShown) text = "a long " + std::string(value.type_name());
  return ", found " + text;
}

// The bounds as texts; empty where there is none.
void set_bounds(ConfigEntry& entry, int64_t min, int64_t max) {
  if (min > -kMaxInteger) entry.min = fmt::format("{}", min);
  if (max < kMaxInteger) entry.max = fmt::format("{}", max);
}
void set_bounds(ConfigEntry& entry, double min, double max, Exclude exclude) {
  if (min > -kMaxNumber) entry.min = fmt::format("{}", min);
  if (max < kMaxNumber) entry.max = fmt::format("{}", max);
  entry.exclude = exclude;
}

bool excludes_min(Exclude e) { return e == Exclude::kMin || e == Exclude::kBoth; }
bool excludes_max(Exclude e) { return e == Exclude::kMax || e == Exclude::kBoth; }

std::string range_text(const ConfigEntry& entry) {
  const bool open_min = excludes_min(entry.exclude), open_max = excludes_max(entry.exclude);
  if (entry.max.empty()) return (open_min ? "more than " : "at least ") + entry.min;
  if (entry.min.empty()) return (open_max ? "less than " : "at most ") + entry.max;
  return fmt::format("in {}{}, {}{}", open_min ? '(' : '[', entry.min, entry.max,
                     open_max ? ')' : ']');
}

// Integers that double precision, and so many readers of JSON, would silently change.
bool beyond_exact(const Json& value) {
  if (value.is_number_unsigned()) return value.get<uint64_t>() > uint64_t{kMaxInteger};
  return value.is_number_integer() && value.get<int64_t>() < -kMaxInteger;
}
const char* const kBeyondExact = "must lie within +-9007199254740992 (2^53)";

Complaints check_number(const Json& value, const ConfigEntry& entry, double min, double max,
                        double& result) {
  if (!value.is_number()) return {{"must be a number" + found(value)}};
  if (beyond_exact(value)) return {{kBeyondExact + found(value)}};
  const double x = value.get<double>();
  const bool high_enough = excludes_min(entry.exclude) ? x > min : x >= min;
  const bool low_enough = excludes_max(entry.exclude) ? x < max : x <= max;
  if (!high_enough || !low_enough) return {{"must be " + range_text(entry) + found(value)}};
  result = x;
  return {};
}

// 1e6 is an integer here as it is in JSON Schema.
Complaints check_integer(const Json& value, const ConfigEntry& entry, int64_t min, int64_t max,
                         int64_t& result) {
  const bool integral = value.is_number_float() && std::trunc(value.get<double>()) == value;
  if (!value.is_number_integer() && !integral) return {{"must be an integer" + found(value)}};
  if (beyond_exact(value) || (integral && std::abs(value.get<double>()) > double(kMaxInteger))) {
    return {{kBeyondExact + found(value)}};
  }
  const auto x = value.get<int64_t>();
  if (x < min || x > max) return {{"must be " + range_text(entry) + found(value)}};
  result = x;
  return {};
}

Complaints check_string(const Json& value, const ConfigEntry& entry, std::string& result) {
  if (!value.is_string()) return {{"must be a string" + found(value)}};
  const auto& text = value.get_ref<const std::string&>();
  const std::vector<std::string>& names = entry.choices;
  if (!names.empty() && std::find(names.begin(), names.end(), text) == names.end()) {
    return {{fmt::format("must be one of {}", fmt::join(names, ", ")) + found(value),
             did_you_mean(text, names)}};
  }
  result = text;
  return {};
}

// Every element by `check`.
template <class T, class Check>
Complaints check_list(const Json& value, const Check& check, std::vector<T>& result) {
  if (!value.is_array()) return {{"must be a list" + found(value)}};
  Complaints complaints;
  std::vector<T> list(value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    for (Complaint& complaint : check(value[i], list[i])) {
      complaint.index = std::to_string(i);
      complaints.push_back(std::move(complaint));
    }
  }
  if (complaints.empty()) result = std::move(list);
  return complaints;
}

}  // namespace

struct Config::State {
  ConfigSource source;
  Json resolved = Json::object();
  std::vector<ConfigEntry> entries = {};
  std::vector<ConfigError> errors = {};
  std::map<ConfigPath, std::vector<std::string>> asked = {};  // the keys asked for, by object
  // Objects whose keys cannot be judged, because it is not known what they should be.
  std::set<ConfigPath> unjudged = {};

  const Json* ask(const ConfigPath& path) {
    std::vector<std::string>& keys = asked[ConfigPath(path.begin(), path.end() - 1)];
    if (std::find(keys.begin(), keys.end(), path.back()) == keys.end()) keys.push_back(path.back());
    return source.find(path);
  }

  bool is_unjudged(ConfigPath path) const {
    for (; !path.empty(); path.pop_back()) {
      if (unjudged.contains(path)) return true;
    }
    return false;
  }

  void add_error(const ConfigPath& path, const std::string& text, const std::string& hint = "") {
    ConfigError error = source.error(path, fmt::format("'{}' {}", dotted(path), text), hint);
    if (std::find(errors.begin(), errors.end(), error) == errors.end()) {
      errors.push_back(std::move(error));
    }
  }

  void add_missing(const ConfigPath& path) {
    if (is_unjudged(path)) return;
    errors.push_back(source.error(path, fmt::format("missing required key '{}'", dotted(path))));
  }

  void record(ConfigEntry entry, Json value) {
    for (const ConfigEntry& known : entries) {
      if (known.path != entry.path) continue;
      DDPM_ASSERT(known.type == entry.type && known.default_json == entry.default_json,
                  "'{}' is read in two ways", dotted(entry.path));
      return;
    }
    Json* node = &resolved;
    for (const std::string& key : entry.path) node = &(*node)[key];
    entry.origin = source.origin(entry.path);
    entry.value_json = value.dump();
    *node = std::move(value);
    entries.push_back(std::move(entry));
  }

  std::vector<ConfigError> unread() const {
    std::vector<ConfigError> unknown;
    for (const auto& [path, keys] : asked) {
      const Json* object = source.find(path);
      if (!object || !object->is_object() || is_unjudged(path)) continue;
      for (const auto& [key, value] : object->items()) {
        if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
        ConfigPath full = path;
        full.push_back(key);
        unknown.push_back(source.error(full, fmt::format("unknown key '{}'", dotted(full)),
                                       did_you_mean(key, keys), /*at_key=*/true));
      }
    }
    return unknown;
  }
};

Config::Config(ConfigSource source) : state_(std::make_shared<State>(State{std::move(source)})) {
  state_->asked[{}];
}

Config::Config(std::shared_ptr<State> state, ConfigPath path)
    : state_(std::move(state)), path_(std::move(path)) {
  state_->asked[path_];
}

ConfigPath Config::path_of(std::string_view key) const {
  ConfigPath path = path_;
  path.emplace_back(key);
  return path;
}

template <class T, class Check>
T Config::read(std::string_view key, ConfigEntry entry, const std::optional<T>& default_value,
               T fallback, Check check) const {
  entry.path = path_of(key);
  T value = default_value.value_or(std::move(fallback));
  if (default_value) {
    const Json json = *default_value;
    DDPM_ASSERT(check(json, value).empty(), "the default of '{}' is not allowed: {}",
                dotted(entry.path), json.dump());
    entry.default_json = json.dump();
  }
  if (const Json* given = state_->ask(entry.path)) {
    for (const Complaint& complaint : check(*given, value)) {
      ConfigPath path = entry.path;
      if (!complaint.index.empty()) path.push_back(complaint.index);
      state_->add_error(path, complaint.text, complaint.hint);
    }
  } else if (!default_value) {
    state_->add_missing(entry.path);
  }
  state_->record(std::move(entry), value);
  return value;
}

int64_t Config::integer(std::string_view key, std::optional<int64_t> default_value, int64_t min,
                        int64_t max, std::string_view help) const {
  ConfigEntry entry{.path = {}, .type = "integer", .help = std::string(help)};
  set_bounds(entry, min, max);
  return read(key, entry, default_value, min, [&](const Json& value, int64_t& result) {
    return check_integer(value, entry, min, max, result);
  });
}

double Config::number(std::string_view key, std::optional<double> default_value, double min,
                      double max, std::string_view help, Exclude exclude) const {
  ConfigEntry entry{.path = {}, .type = "number", .help = std::string(help)};
  set_bounds(entry, min, max, exclude);
  return read(key, entry, default_value, min, [&](const Json& value, double& result) {
    return check_number(value, entry, min, max, result);
  });
}

bool Config::boolean(std::string_view key, std::optional<bool> default_value,
                     std::string_view help) const {
  const ConfigEntry entry{.path = {}, .type = "boolean", .help = std::string(help)};
  return read(key, entry, default_value, false, [](const Json& value, bool& result) -> Complaints {
    if (!value.is_boolean()) return {{"must be true or false" + found(value)}};
    result = value.get<bool>();
    return {};
  });
}

std::string Config::string(std::string_view key, std::optional<std::string> default_value,
                           std::string_view help) const {
  const ConfigEntry entry{.path = {}, .type = "string", .help = std::string(help)};
  return read(
      key, entry, default_value, std::string(),
      [&](const Json& value, std::string& result) { return check_string(value, entry, result); });
}

std::string Config::choice(std::string_view key, std::optional<std::string> default_value,
                           const std::vector<std::string>& names, std::string_view help) const {
  DDPM_ASSERT(!names.empty(), "'{}' has nothing to choose from", dotted(path_of(key)));
  const ConfigEntry entry{
      .path = {}, .type = "string", .help = std::string(help), .choices = names};
  return read(
      key, entry, default_value, names.front(),
      [&](const Json& value, std::string& result) { return check_string(value, entry, result); });
}

std::vector<int64_t> Config::integers(std::string_view key,
                                      std::optional<std::vector<int64_t>> default_value,
                                      int64_t min, int64_t max, std::string_view help) const {
  ConfigEntry entry{.path = {}, .type = "array", .item_type = "integer", .help = std::string(help)};
  set_bounds(entry, min, max);
  const auto check = [&](const Json& value, int64_t& result) {
    return check_integer(value, entry, min, max, result);
  };
  return read(key, entry, default_value, std::vector<int64_t>(),
              [&](const Json& value, std::vector<int64_t>& result) {
                return check_list(value, check, result);
              });
}

std::vector<double> Config::numbers(std::string_view key,
                                    std::optional<std::vector<double>> default_value, double min,
                                    double max, std::string_view help, Exclude exclude) const {
  ConfigEntry entry{.path = {}, .type = "array", .item_type = "number", .help = std::string(help)};
  set_bounds(entry, min, max, exclude);
  const auto check = [&](const Json& value, double& result) {
    return check_number(value, entry, min, max, result);
  };
  return read(key, entry, default_value, std::vector<double>(),
              [&](const Json& value, std::vector<double>& result) {
                return check_list(value, check, result);
              });
}

std::vector<std::string> Config::strings(std::string_view key,
                                         std::optional<std::vector<std::string>> default_value,
                                         std::string_view help,
                                         const std::vector<std::string>& names) const {
  const ConfigEntry entry{.path = {},
                          .type = "array",
                          .item_type = "string",
                          .help = std::string(help),
                          .choices = names};
  const auto check = [&](const Json& value, std::string& result) {
    return check_string(value, entry, result);
  };
  return read(key, entry, default_value, std::vector<std::string>(),
              [&](const Json& value, std::vector<std::string>& result) {
                return check_list(value, check, result);
              });
}

Json Config::json(std::string_view key, const std::optional<Json>& default_value,
                  std::string_view help) const {
  const ConfigEntry entry{.path = {}, .type = "any", .help = std::string(help)};
  return read(key, entry, default_value, Json(), [](const Json& value, Json& result) -> Complaints {
    result = value;
    return {};
  });
}

Config Config::child(std::string_view key, std::string_view help) const {
  const ConfigPath path = path_of(key);
  const Json* given = state_->ask(path);
  if (given && !given->is_object()) {
    state_->add_error(path, "must be an object" + found(*given));
    state_->unjudged.insert(path);
  }
  state_->record({.path = path, .type = "object", .help = std::string(help), .default_json = "{}"},
                 Json::object());
  return Config(state_, path);
}

Config::Variant Config::variant(std::string_view key, std::optional<std::string> default_name,
                                const std::vector<std::string>& names,
                                std::string_view help) const {
  const ConfigPath path = path_of(key);
  const Json* given = state_->ask(path);
  ConfigEntry entry{.path = path,
                    .type = "object",
                    .help = std::string(help),
                    .choices = names,
                    .is_variant = true};
  if (default_name) entry.default_json = Json(*default_name).dump();
  if (!given && !default_name) {
    state_->add_missing(path);
    state_->unjudged.insert(path);
  } else if (given && given->is_string()) {
    state_->source.expand_variant(path);
  } else if (given && !given->is_object()) {
    state_->add_error(path, "must be a name or an object with a name" + found(*given));
    state_->unjudged.insert(path);
  }
  state_->record(std::move(entry), Json::object());

  const Config config(state_, path);
  const std::string name = config.choice("name", default_name, names, help);
  // The other keys belong to whatever was meant by a wrong or missing name.
  const Json* given_name = state_->source.find(config.path_of("name"));
  if (given_name ? *given_name != name : !default_name) {
    state_->unjudged.insert(path);
  }
  return {name, config};
}

bool Config::has(std::string_view key) const { return state_->source.find(path_of(key)); }

std::vector<std::string> Config::keys() const {
  std::vector<std::string> keys;
  const Json* object = state_->source.find(path_);
  if (object && object->is_object()) {
    for (const auto& [key, value] : object->items()) keys.push_back(key);
  }
  return keys;
}

void Config::error(std::string_view key, std::string_view message) const {
  state_->add_error(path_of(key), std::string(message));
}

void Config::finish() const {
  std::vector<ConfigError> errors = state_->source.errors();
  const std::vector<ConfigError> unread = state_->unread();
  errors.insert(errors.end(), state_->errors.begin(), state_->errors.end());
  errors.insert(errors.end(), unread.begin(), unread.end());
  if (errors.empty()) return;
  std::stable_sort(errors.begin(), errors.end(), [](const ConfigError& a, const ConfigError& b) {
    return std::tuple(a.line == 0, a.line, a.column) < std::tuple(b.line == 0, b.line, b.column);
  });
  std::string report;
  if (errors.size() > 1) report = fmt::format("{} errors in the configuration:", errors.size());
  for (const ConfigError& error : errors) {
    report += (errors.size() > 1 ? "\n  " : "") + error.text;
  }
  throw UserError(report);
}

const Json& Config::resolved() const { return state_->resolved; }
const std::vector<ConfigEntry>& Config::entries() const { return state_->entries; }

std::string config_hash(const Json& resolved) {
  return "sha256:" + sha256_hex(nlohmann::json(resolved).dump());
}

}  // namespace ddpm

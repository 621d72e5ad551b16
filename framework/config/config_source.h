// ConfigSource: what the user wrote, with the place of every key: a JSON document (comments
// allowed, trailing commas and duplicate keys not) and the overrides on top of it. Reading and
// checking the values is Config's work (config.h).
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace ddpm {

// The keys that lead to a value; a list's elements have their index as key.
using ConfigPath = std::vector<std::string>;
std::string dotted(const ConfigPath& path);

// Where a value comes from: a line and column (both from 1), or an override.
struct ConfigPlace {
  int key_line = 0, key_column = 0;
  int line = 0, column = 0;
  std::string assignment = {};  // "a.b=v"; empty in a file
};

// Errors about the file sort by place, those about overrides come last.
struct ConfigError {
  int line = 0, column = 0;
  std::string text;
  friend bool operator==(const ConfigError&, const ConfigError&) = default;
};

class ConfigSource {
 public:
  ConfigSource();  // an empty document
  static ConfigSource parse_file(const std::string& path);
  // A syntax error throws at once; `name` is what messages call the text.
  static ConfigSource parse_text(std::string_view text, std::string name);
  ConfigSource(ConfigSource&&) noexcept;
  ConfigSource& operator=(ConfigSource&&) noexcept;
  ~ConfigSource();

  // "a.b=v", where v is JSON or else a bare string. Missing objects are created; a later override
  // replaces an earlier one.
  void set(std::string_view assignment);
  // Turns the string at `path`, the short form of a variant, into {"name": string}.
  void expand_variant(const ConfigPath& path);

  const nlohmann::ordered_json& json() const { return *json_; }
  // The value at `path`, or null.
  const nlohmann::ordered_json* find(const ConfigPath& path) const;
  // Where the value, or else the closest object around it, was given; null if nowhere.
  const ConfigPlace* place(const ConfigPath& path) const;
  // "file:line:column" or "--set a.b=v"; "default" for what is not in the document.
  std::string origin(const ConfigPath& path) const;
  // A sentence with its place; `hint` follows it.
  ConfigError error(const ConfigPath& path, const std::string& sentence,
                    const std::string& hint = "", bool at_key = false) const;
  // Duplicate keys and malformed overrides.
  const std::vector<ConfigError>& errors() const { return errors_; }

 private:
  std::string name_;
  std::unique_ptr<nlohmann::ordered_json> json_;
  std::map<ConfigPath, ConfigPlace> places_;
  std::vector<ConfigError> errors_;
};

}  // namespace ddpm

// nlohmann/json parses; a second, trivial pass over the text it accepted finds the place of every
// key, which its document does not keep, and the duplicate keys, of which it keeps the last.
#include "framework/config/config_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>
#include <tuple>

#include "framework/core/check.h"
#include "framework/io/file.h"

namespace ddpm {

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxDepth = 64;  // of nesting; bounds recursion
constexpr size_t kMaxConfigBytes = size_t{16} << 20;

struct Duplicate {
  ConfigPath path;
  ConfigPlace first, again;
};

// Walks over a text that is known to be valid JSON with comments.
class PlaceScanner {
 public:
  PlaceScanner(std::string_view text, std::map<ConfigPath, ConfigPlace>& places)
      : text_(text), places_(places) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = line_start_ = 3;  // byte order mark
  }

  std::vector<Duplicate> scan() {
    skip_space();
    ConfigPlace place;
    std::tie(place.line, place.column) = here();
    place.key_line = place.line, place.key_column = place.column;
    ConfigPath path;
    places_[path] = place;
    value(path);
    return std::move(duplicates_);
  }

 private:
  std::pair<int, int> here() const { return {line_, static_cast<int>(at_ - line_start_) + 1}; }

  void advance() {
    if (text_[at_++] == '\n') ++line_, line_start_ = at_;
  }

  void skip_space() {
    while (at_ < text_.size()) {
      if (text_.substr(at_, 2) == "//") {
        while (at_ < text_.size() && text_[at_] != '\n') advance();
      } else if (text_.substr(at_, 2) == "/*") {
        const size_t end = text_.find("*/", at_ + 2) + 2;
        while (at_ < end) advance();
      } else if (std::string_view(" \t\r\n,:").find(text_[at_]) != std::string_view::npos) {
        advance();
      } else {
        return;
      }
    }
  }

  std::string_view string() {
    const size_t begin = at_++;
    while (text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    ++at_;
    return text_.substr(begin, at_ - begin);
  }

  void value(ConfigPath& path) {
    DDPM_CHECK(path.size() <= kMaxDepth, "{}:{}: nested deeper than {} levels", here().first,
               here().second, kMaxDepth);
    const char first = text_[at_];
    if (first == '"') {
      string();
    } else if (first == '{' || first == '[') {
      ++at_;
      for (size_t index = 0;; ++index) {
        skip_space();
        if (text_[at_] == '}' || text_[at_] == ']') break;
        ConfigPlace place;
        std::tie(place.key_line, place.key_column) = here();
        path.push_back(first == '[' ? std::to_string(index)
                                    : Json::parse(string()).get<std::string>());
        skip_space();
        std::tie(place.line, place.column) = here();
        const auto [known, is_new] = places_.emplace(path, place);
        if (!is_new) {
          duplicates_.push_back({path, known->second, place});
          known->second = place;
        }
        value(path);
        path.pop_back();
      }
      ++at_;
    } else {
      at_ = std::min(text_.find_first_of(",]}/ \t\r\n", at_), text_.size());
    }
  }

  std::string_view text_;
  std::map<ConfigPath, ConfigPlace>& places_;
  std::vector<Duplicate> duplicates_;
  size_t at_ = 0, line_start_ = 0;
  int line_ = 1;
};

// "[json.exception.parse_error.101] parse error at line 3, column 1: what" as "name:3:1: what".
std::string syntax_error(const std::string& name, const std::string& what) {
  static const std::regex pattern(R"(^\[[^\]]*\] (?:parse error at line (\d+), column (\d+): )?)");
  std::smatch match;
  if (!std::regex_search(what, match, pattern)) return fmt::format("{}: {}", name, what);
  const std::string place =
      match[1].matched ? fmt::format(":{}:{}", match.str(1), match.str(2)) : "";
  return fmt::format("{}{}: {}", name, place, match.suffix().str());
}

}  // namespace

std::string dotted(const ConfigPath& path) { return fmt::format("{}", fmt::join(path, ".")); }

ConfigSource::ConfigSource() : json_(std::make_unique<Json>(Json::object())) {}
ConfigSource::ConfigSource(ConfigSource&&) noexcept = default;
ConfigSource& ConfigSource::operator=(ConfigSource&&) noexcept = default;
ConfigSource::~ConfigSource() = default;

ConfigSource ConfigSource::parse_file(const std::string& path) {
  return parse_text(read_text_file(path, kMaxConfigBytes), path);
}

ConfigSource ConfigSource::parse_text(std::string_view text, std::string name) {
  ConfigSource source;
  source.name_ = std::move(name);
  try {
    *source.json_ = Json::parse(text, nullptr, true, /*ignore_comments=*/true);
  } catch (const nlohmann::json::exception& error) {
    throw UserError(syntax_error(source.name_, error.what()));
  }
  DDPM_CHECK(source.json_->is_object(), "{}: a configuration is an object {{...}}, found {}",
             source.name_, source.json_->type_name());
  try {
    for (const Duplicate& twice : PlaceScanner(text, source.places_).scan()) {
      source.errors_.push_back(
          {twice.again.key_line, twice.again.key_column,
           fmt::format("{}:{}:{}: duplicate key '{}', first given at {}:{}", source.name_,
                       twice.again.key_line, twice.again.key_column, dotted(twice.path),
                       twice.first.key_line, twice.first.key_column)});
    }
  } catch (const UserError& error) {
    fail_user("{}:{}", source.name_, error.what());
  }
  return source;
}

void ConfigSource::set(std::string_view assignment) {
  const auto refuse = [&](const std::string& why) {
    errors_.push_back({0, 0, fmt::format("--set {}: {}", assignment, why)});
  };
  const size_t equals = assignment.find('=');
  const std::string key(assignment.substr(0, equals));
  const std::string text(equals == std::string_view::npos ? "" : assignment.substr(equals + 1));
  ConfigPath path;
  for (size_t begin = 0; begin <= key.size();) {
    const size_t end = std::min(key.find('.', begin), key.size());
    path.push_back(key.substr(begin, end - begin));
    begin = end + 1;
  }
  if (equals == std::string_view::npos || std::find(path.begin(), path.end(), "") != path.end()) {
    return refuse("expected key=value, e.g. a.b=0.5");
  }
  if (path.size() > kMaxDepth) return refuse("the key is nested too deeply");

  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) {
    value = text;
  } else {
    std::map<ConfigPath, ConfigPlace> places;
    try {
      for (const Duplicate& twice : PlaceScanner(text, places).scan()) {
        refuse(fmt::format("duplicate key '{}'", dotted(twice.path)));
      }
    } catch (const UserError& error) {
      return refuse(error.what());
    }
  }
  try {
    static_cast<void>(Json({key, value}).dump());
  } catch (const nlohmann::json::exception&) {
    return refuse("not valid UTF-8");
  }

  const ConfigPlace place{.assignment = std::string(assignment)};
  Json* node = json_.get();
  ConfigPath prefix;
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    prefix.push_back(path[i]);
    if (!node->contains(path[i])) {
      (*node)[path[i]] = Json::object();
      places_[prefix] = place;
    }
    node = &(*node)[path[i]];
    if (node->is_string()) expand_variant(prefix);
    if (!node->is_object()) {
      return refuse(fmt::format("'{}' is {}, not an object", dotted(prefix), node->dump()));
    }
  }
  (*node)[path.back()] = std::move(value);
  std::erase_if(places_, [&](const auto& entry) {
    return entry.first.size() > path.size() &&
           std::equal(path.begin(), path.end(), entry.first.begin());
  });
  places_[path] = place;
}

void ConfigSource::expand_variant(const ConfigPath& path) {
  Json* node = json_.get();
  for (const std::string& key : path) node = &node->at(key);
  *node = Json{{"name", *node}};
}

const Json* ConfigSource::find(const ConfigPath& path) const {
  const Json* node = json_.get();
  for (const std::string& key : path) {
    if (!node->is_object()) return nullptr;
    const auto found = node->find(key);
    if (found == node->end()) return nullptr;
    node = &*found;
  }
  return node;
}

const ConfigPlace* ConfigSource::place(const ConfigPath& path) const {
  for (ConfigPath prefix = path;; prefix.pop_back()) {
    const auto found = places_.find(prefix);
    if (found != places_.end()) return &found->second;
    if (prefix.empty()) return nullptr;
  }
}

std::string ConfigSource::origin(const ConfigPath& path) const {
  const ConfigPlace* where = find(path) ? place(path) : nullptr;
  if (!where) return "default";
  if (!where->assignment.empty()) return "--set " + where->assignment;
  return fmt::format("{}:{}:{}", name_, where->line, where->column);
}

ConfigError ConfigSource::error(const ConfigPath& path, const std::string& sentence,
                                const std::string& hint, bool at_key) const {
  const ConfigPlace* where = place(path);
  const std::string end = hint.empty() ? "" : "." + hint;
  if (!where) return {0, 0, sentence + end};
  if (!where->assignment.empty()) {
    return {0, 0, fmt::format("{} (from --set {}){}", sentence, where->assignment, end)};
  }
  const int line = at_key ? where->key_line : where->line;
  const int column = at_key ? where->key_column : where->column;
  return {line, column, fmt::format("{}:{}:{}: {}{}", name_, line, column, sentence, end)};
}

}  // namespace ddpm

// Registry: the named implementations of an interface. A configuration names one and holds its
// settings beside the name; help, did-you-mean and the JSON schema follow from the table.
//
//   const Registry<Schedule>& schedules() {
//     static const Registry<Schedule> registry("noise schedule", {
//         {"linear", "betas rise linearly (Ho et al. 2020)", factory<Schedule, LinearSchedule>()},
//     });
//     return registry;
//   }
//   auto schedule = schedules().make(config, "schedule", "linear");
//   // reads "schedule": "linear" or "schedule": {"name": "linear", "beta_end": 0.02}
#pragma once

#include <fmt/format.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "framework/config/config.h"
#include "framework/config/suggest.h"
#include "framework/core/check.h"

namespace ddpm {

template <class Interface>
class Registry {
 public:
  // Reads its settings from the variant's object.
  using Factory = std::function<std::unique_ptr<Interface>(const Config&)>;
  struct Entry {
    std::string name;
    std::string help;  // one line
    Factory factory;
  };

  Registry(std::string kind, std::initializer_list<Entry> entries)
      : kind_(std::move(kind)), entries_(entries) {
    for (const Entry& entry : entries_) {
      DDPM_ASSERT(&find(entry.name) == &entry, "{} '{}' is registered twice", kind_, entry.name);
    }
  }

  // The variant at `key`. After an error in the configuration it is some valid object, which
  // Config::finish() keeps from ever being used.
  std::unique_ptr<Interface> make(const Config& config, std::string_view key,
                                  std::optional<std::string> default_name) const {
    const Config::Variant variant = config.variant(key, std::move(default_name), names(), kind_);
    return find(variant.name).factory(variant.config);
  }
  // The variant of that name with its default settings.
  std::unique_ptr<Interface> make(std::string_view name) const {
    const Config config{ConfigSource()};
    std::unique_ptr<Interface> made = find(name).factory(config);
    config.finish();
    return made;
  }

  const std::string& kind() const { return kind_; }
  const std::string& help(std::string_view name) const { return find(name).help; }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const Entry& entry : entries_) names.push_back(entry.name);
    return names;
  }

 private:
  const Entry& find(std::string_view name) const {
    for (const Entry& entry : entries_) {
      if (entry.name == name) return entry;
    }
    fail_user("unknown {} '{}'; known: {}.{}", kind_, name, fmt::join(names(), ", "),
              did_you_mean(name, names()));
  }

  std::string kind_;
  std::vector<Entry> entries_;
};

// The factory of an Implementation whose constructor takes its settings.
template <class Interface, class Implementation>
typename Registry<Interface>::Factory factory() {
  return [](const Config& config) { return std::make_unique<Implementation>(config); };
}

}  // namespace ddpm

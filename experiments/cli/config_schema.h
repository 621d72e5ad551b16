// The JSON Schema of whatever reads a Config: the reader runs on empty configurations, once for
// each name of each variant, and what it asked for is what may be written.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>

#include "framework/config/config.h"

namespace ddpm {

nlohmann::ordered_json config_schema(const std::function<void(const Config&)>& read);

}  // namespace ddpm

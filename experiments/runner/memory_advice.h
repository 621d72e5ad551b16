// When a batch does not fit in memory: which one would.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "framework/core/memory.h"

namespace ddpm {

// Throws `error` again with what to do about it: the largest of batch / 2, batch / 4, ... with
// which `attempt` gets through. It is tried, not estimated; the caller has let go of what failed.
[[noreturn]] void fail_with_advice(const memory::OutOfMemory& error, const std::string& key,
                                   int64_t batch, const std::function<void(int64_t)>& attempt);

}  // namespace ddpm

#include "experiments/runner/memory_advice.h"

namespace ddpm {

void fail_with_advice(const memory::OutOfMemory& error, const std::string& key, int64_t batch,
                      const std::function<void(int64_t)>& attempt) {
  for (int64_t smaller = batch / 2; smaller > 0; smaller /= 2) {
    try {
      attempt(smaller);
    } catch (const memory::OutOfMemory&) {
      continue;
    }
    fail("{}; {}={} is too large, {} fits", error.what(), key, batch, smaller);
  }
  fail("{}; with this network not even {}=1 fits", error.what(), key);
}

}  // namespace ddpm

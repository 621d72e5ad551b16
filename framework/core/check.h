// Error reporting. Two kinds of failure, two exit codes:
//   UserError  what the user gave us is wrong: a shape, a key, a file (exit code 2);
//   Error      the run could not go on, or one of our own invariants broke (exit code 1).
// Checks live in front ends; kernels trust them.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace ddpm {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class UserError : public Error {
 public:
  using Error::Error;
};

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
[[noreturn]] void fail_user(fmt::format_string<Args...> format, Args&&... args) {
  throw UserError(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace ddpm

// DDPM_CHECK(x.shape() == y.shape(), "add: {} and {} differ", x.shape(), y.shape());
#define DDPM_CHECK(condition, ...)                    \
  do {                                                \
    if (!(condition)) ::ddpm::fail_user(__VA_ARGS__); \
  } while (0)

// For our own bugs: the message names the place, the user cannot help it.
#define DDPM_ASSERT(condition, ...)                                                  \
  do {                                                                               \
    if (!(condition))                                                                \
      ::ddpm::fail("{}:{}: internal error ({}): {}", __FILE__, __LINE__, #condition, \
                   fmt::format(__VA_ARGS__));                                        \
  } while (0)

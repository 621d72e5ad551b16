// A folder of its own for each test, gone afterwards.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "framework/core/check.h"

namespace ddpm::testing {

class TempFolder : public ::testing::Test {
 protected:
  TempFolder() {
    std::string name = std::filesystem::temp_directory_path() / "ddpm-XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~TempFolder() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ / name; }
  std::string quoted(const std::string& name) const { return fmt::format("'{}'", path(name)); }
  size_t file_count() const {
    using Iterator = std::filesystem::directory_iterator;
    return static_cast<size_t>(std::distance(Iterator(folder_), Iterator()));
  }

 private:
  std::filesystem::path folder_;
};

template <class E = UserError, class Run>
std::string error_of(Run run) {
  try {
    run();
  } catch (const E& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace ddpm::testing

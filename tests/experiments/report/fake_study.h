// A study folder as the runner leaves it, with invented numbers: six runs of three variants, one of
// which diverges, with sample grids, likelihoods and hostile names.
#pragma once

#include <string>

namespace ddpm {

struct FakeStudy {
  // `hostile`: names and notes that try to escape from wherever they are written.
  explicit FakeStudy(bool hostile);
  ~FakeStudy();
  FakeStudy(const FakeStudy&) = delete;
  FakeStudy& operator=(const FakeStudy&) = delete;

  std::string folder;
};

inline constexpr char kHostileText[] =
    "</script><script src='http://evil.example/x.js'></script><img src=x onerror=\"alert(1)\">&'";

}  // namespace ddpm

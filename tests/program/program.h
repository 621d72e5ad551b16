// Runs the ddpm program as a user would: a child process with its output captured.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace ddpm::testing {

struct Finished {
  int exit_code = -1;  // 128 + signal when a signal ended it
  std::string out, err;
};

// A started program; its destructor kills what still runs.
class Program {
 public:
  explicit Program(const std::vector<std::string>& arguments);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void signal(int number) const;
  Finished wait();

 private:
  pid_t pid_ = -1;
  std::string out_path_, err_path_;
};

Finished run(const std::vector<std::string>& arguments);

// A fresh folder for one test, removed at its end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void write_file(const std::string& path, const std::string& text);
std::string read_file(const std::string& path);

}  // namespace ddpm::testing

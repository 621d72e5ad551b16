#include "tests/program/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

extern char** environ;

namespace ddpm::testing {
namespace {

std::string temporary_name() {
  std::string name = (std::filesystem::temp_directory_path() / "ddpm-test-XXXXXX").string();
  if (!mkdtemp(name.data())) throw std::runtime_error("mkdtemp failed");
  return name;
}

}  // namespace

Program::Program(const std::vector<std::string>& arguments) {
  const std::string folder = temporary_name();
  out_path_ = folder + "/out";
  err_path_ = folder + "/err";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out_path_.c_str(), kFlags, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err_path_.c_str(), kFlags, 0600);
  std::string program = DDPM_PROGRAM;
  std::vector<std::string> copy = arguments;
  std::vector<char*> argv = {program.data()};
  for (std::string& argument : copy) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int error = posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw std::runtime_error("cannot start " + program);
}

Program::~Program() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  std::filesystem::remove_all(std::filesystem::path(out_path_).parent_path());
}

void Program::signal(int number) const { kill(pid_, number); }

Finished Program::wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return {code, read_file(out_path_), read_file(err_path_)};
}

Finished run(const std::vector<std::string>& arguments) { return Program(arguments).wait(); }

TemporaryFolder::TemporaryFolder() : path_(temporary_name()) {}
TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(path_); }

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string read_file(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace ddpm::testing

// Messages on stderr by verbosity, and the log file that starts with what came before it.
#include "experiments/cli/log.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "framework/io/file.h"

namespace ddpm {
namespace {

std::string messages_at(int verbosity) {
  testing::internal::CaptureStderr();
  open_log(verbosity, false, nullptr);
  spdlog::debug("detail");
  spdlog::info("news");
  spdlog::warn("trouble");
  spdlog::error("end");
  close_log();
  return testing::internal::GetCapturedStderr();
}

TEST(Log, Verbosity) {
  EXPECT_EQ(messages_at(-1), "ddpm: error: end\n");
  EXPECT_EQ(messages_at(0), "ddpm: news\nddpm: warning: trouble\nddpm: error: end\n");
  EXPECT_EQ(messages_at(1), "ddpm: detail\nddpm: news\nddpm: warning: trouble\nddpm: error: end\n");
}

TEST(Log, FileHasTheWholeStory) {
  const std::string path = testing::TempDir() + "ddpm_log_test.log";
  std::remove(path.c_str());
  testing::internal::CaptureStderr();
  open_log(-1, false, nullptr);
  spdlog::debug("before");
  log_to_file(path);
  spdlog::info("after");
  close_log();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  const std::string text = read_text_file(path);
  EXPECT_NE(text.find(" debug before\n"), std::string::npos) << text;
  EXPECT_LT(text.find(" debug before\n"), text.find(" info after\n")) << text;
  std::remove(path.c_str());
}

}  // namespace
}  // namespace ddpm

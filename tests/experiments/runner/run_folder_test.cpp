#include "experiments/runner/run_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/runner/result.h"
#include "framework/core/check.h"
#include "framework/io/file.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

class RunFolderTest : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove_all(path_); }
  std::string path_ =
      (fs::temp_directory_path() / fmt::format("ddpm-run-folder-{}", getpid())).string();
};

TEST_F(RunFolderTest, TruncationDropsTornAndLaterLines) {
  const RunFolder folder = RunFolder::create(path_, false);
  for (int step : {10, 20, 30}) folder.append_metrics({{"step", step}, {"loss", 1.5}});
  write_file_atomically(folder.file("metrics.jsonl"),
                        read_text_file(folder.file("metrics.jsonl")) + "{\"step\": 4");
  folder.truncate_metrics(20);
  EXPECT_EQ(read_text_file(folder.file("metrics.jsonl")),
            "{\"step\":10,\"loss\":1.5}\n{\"step\":20,\"loss\":1.5}\n");
}

TEST_F(RunFolderTest, OverwriteTouchesOnlyWhatARunLeaves) {
  RunFolder::create(path_, false).write_json("config.json", {{"diffusion", {}}});
  write_file_atomically(path_ + "/notes.txt", std::string_view("mine"));
  EXPECT_THROW(RunFolder::create(path_, false), UserError);
  RunFolder::create(path_, true);
  EXPECT_FALSE(fs::exists(path_ + "/config.json"));
  EXPECT_TRUE(fs::exists(path_ + "/notes.txt"));
  // Without a run in it, a folder with files is not ours to empty.
  EXPECT_THROW(RunFolder::create(path_, true), UserError);
  const std::string theirs = R"({"_class_name": "UNet2DModel"})";
  write_file_atomically(path_ + "/config.json", theirs);
  EXPECT_THROW(RunFolder::create(path_, true), UserError);
  EXPECT_EQ(read_text_file(path_ + "/config.json"), theirs);
}

TEST_F(RunFolderTest, KeepsTheNewestCheckpoints) {
  const RunFolder folder = RunFolder::create(path_, false);
  for (int step : {5, 50, 500})
    write_file_atomically(folder.checkpoint(step), std::string_view("x"));
  folder.prune_checkpoints(2);
  EXPECT_FALSE(fs::exists(folder.checkpoint(5)));
  EXPECT_TRUE(fs::exists(folder.checkpoint(50)));
  EXPECT_TRUE(fs::exists(folder.checkpoint(500)));
}

TEST(DifferingKeys, NamesTheLeaves) {
  EXPECT_EQ(differing_keys({{"a", {{"b", 1}, {"c", 2}}}, {"d", 3}},
                           {{"a", {{"b", 1}, {"c", 4}}}, {"e", 3}}),
            (std::vector<std::string>{"a.c", "d", "e"}));
}

}  // namespace
}  // namespace ddpm

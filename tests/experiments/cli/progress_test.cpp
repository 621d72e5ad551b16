// The progress line as a pure function of state and width, and what reaches the stream when.
#include "experiments/cli/progress.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace ddpm {
namespace {

ProgressState half_way() {
  return {.name = "train",
          .done = 4200,
          .total = 10000,
          .seconds = 83.4,
          .rate = 50.4,
          .fields = {{"loss", "0.0312"}, {"lr", "2.0e-04"}}};
}

TEST(ProgressLine, LooksLikeTqdm) {
  EXPECT_EQ(progress_line(half_way(), 82, Bar::kAscii),
            "train  42%|####      | 4200/10000 [01:23<01:55, 50.4it/s, loss=0.0312, lr=2.0e-04]");
}

TEST(ProgressLine, BlocksShowEighths) {
  ProgressState state = half_way();
  state.done = 4250;  // 4.25 of 10 columns
  const std::string line = progress_line(state, 82, Bar::kBlocks);
  EXPECT_NE(line.find("|████▎     |"), std::string::npos) << line;
  state.done = 10000;  // one digit more
  EXPECT_NE(progress_line(state, 83, Bar::kBlocks).find("|██████████|"), std::string::npos);
}

TEST(ProgressLine, NeverWiderThanTheTerminal) {
  for (int width = 0; width < 130; ++width) {
    const std::string line = progress_line(half_way(), width, Bar::kAscii);
    EXPECT_LE(line.size(), static_cast<size_t>(width));
    // The bar stops growing at 40 columns.
    EXPECT_LE(std::count(line.begin(), line.end(), ' ') + std::count(line.begin(), line.end(), '#'),
              40 + 7);
  }
}

TEST(ProgressLine, FieldsGoBeforeTheCountDoes) {
  EXPECT_EQ(progress_line(half_way(), 60, Bar::kAscii),
            "train  42% 4200/10000 [01:23<01:55, 50.4it/s, loss=0.0312]");
  EXPECT_EQ(progress_line(half_way(), 20, Bar::kAscii), "train  42% 4200/1000");
}

TEST(ProgressLine, RatesAndTimes) {
  const auto with_rate = [](double rate) {
    return progress_line({.name = "x", .done = 1, .total = 2, .seconds = 3723, .rate = rate}, 200,
                         Bar::kNone);
  };
  EXPECT_EQ(with_rate(0), "x  50% 1/2 [1:02:03<?, ?it/s]");
  EXPECT_EQ(with_rate(0.8), "x  50% 1/2 [1:02:03<00:01, 1.25s/it]");
  EXPECT_EQ(with_rate(0.01), "x  50% 1/2 [1:02:03<01:40, 100.0s/it]");
  EXPECT_EQ(with_rate(5), "x  50% 1/2 [1:02:03<00:00, 5.00it/s]");
  EXPECT_EQ(with_rate(1234.5), "x  50% 1/2 [1:02:03<00:00, 1234it/s]");
}

TEST(ProgressLine, UnknownTotal) {
  EXPECT_EQ(progress_line({.name = "read", .done = 7, .seconds = 1, .rate = 7}, 80, Bar::kAscii),
            "read 7it [00:01, 7.00it/s]");
}

TEST(ProgressJson, IsOneObject) {
  EXPECT_EQ(progress_json(half_way()),
            R"({"progress":"train","done":4200,"total":10000,"seconds":83.4,"per_second":50.4,)"
            R"("loss":"0.0312","lr":"2.0e-04"})");
}

TEST(Rate, FollowsTheNewestSamples) {
  Rate rate;
  EXPECT_EQ(rate.per_second(), 0);
  rate.add(10, 1);
  EXPECT_DOUBLE_EQ(rate.per_second(), 10);
  rate.add(20, 1);
  // (0.3 * 20 + 0.7 * 0.3 * 10) / (0.3 + 0.7 * 0.3)
  EXPECT_DOUBLE_EQ(rate.per_second(), 8.1 / 0.51);
  for (int i = 0; i < 100; ++i) rate.add(20, 1);
  EXPECT_NEAR(rate.per_second(), 20, 1e-9);
}

// A progress on a temporary file, with a clock that the test turns.
class ProgressStream : public testing::Test {
 protected:
  Progress make(ProgressMode mode) {
    return Progress(mode, file_, [this] { return now_; });
  }
  std::string written() {
    std::fflush(file_);
    std::rewind(file_);
    std::string text(1 << 16, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), file_));
    return text;
  }
  ~ProgressStream() override { std::fclose(file_); }

  std::FILE* file_ = std::tmpfile();
  double now_ = 100;
};

TEST_F(ProgressStream, BarIsPaintedTenTimesASecondAtMost) {
  Progress progress = make(ProgressMode::kBar);
  progress.begin("train", 1000, 0);
  for (int step = 1; step <= 1000; ++step) {
    now_ += 0.001;
    progress.update(step, {});
  }
  progress.end();
  const std::string text = written();
  const auto paints = std::count(text.begin(), text.end(), '\r');
  EXPECT_GE(paints, 10);
  EXPECT_LE(paints, 12);  // one at the start, ten in the second, one at the end
  EXPECT_TRUE(text.ends_with("\n"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST_F(ProgressStream, PlainIsALineEveryFewSeconds) {
  Progress progress = make(ProgressMode::kPlain);
  progress.begin("train", 100, 40);  // resumed: the rate counts only what was done here
  for (int step = 41; step <= 100; ++step) {
    now_ += 0.25;
    progress.update(step, {{"loss", "1"}});
  }
  progress.end();
  EXPECT_EQ(written(),
            "train  60% 60/100 [00:05<00:10, 4.00it/s, loss=1]\n"
            "train  80% 80/100 [00:10<00:05, 4.00it/s, loss=1]\n"
            "train 100% 100/100 [00:15<00:00, 4.00it/s, loss=1]\n"
            "train 100% 100/100 [00:15<00:00, 4.00it/s, loss=1]\n");
}

TEST_F(ProgressStream, MessagesInterruptTheBar) {
  Progress progress = make(ProgressMode::kBar);
  progress.begin("train", 10, 0);
  progress.interrupt([this] { std::fputs("message\n", file_); });
  const std::string text = written();
  EXPECT_NE(text.find("\r\x1b[Kmessage\n\rtrain"), std::string::npos) << text;
}

TEST_F(ProgressStream, NoneWritesNothing) {
  Progress progress = make(ProgressMode::kNone);
  progress.begin("train", 10, 0);
  now_ += 100;
  progress.update(10, {});
  progress.end();
  EXPECT_EQ(written(), "");
}

TEST(ProgressMode, AutoIsPlainWithoutATerminal) {
  std::FILE* file = std::tmpfile();
  EXPECT_EQ(progress_mode("auto", file), ProgressMode::kPlain);
  EXPECT_EQ(progress_mode("bar", file), ProgressMode::kBar);
  EXPECT_EQ(progress_mode("none", file), ProgressMode::kNone);
  std::fclose(file);
}

}  // namespace
}  // namespace ddpm

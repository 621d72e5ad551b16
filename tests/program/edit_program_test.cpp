// `ddpm edit` end to end: what is kept is the input's to the last bit, bad input is refused at
// once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "framework/io/png.h"
#include "tests/program/trained_run.h"

namespace ddpm::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class EditProgram : public TrainedRun {
 protected:
  static void SetUpTestSuite() {
    TrainedRun::SetUpTestSuite();
    const Finished trained = ddpm({"train", "-c", *shared_ / "tiny.json", "--out",
                                   *shared_ / "classes", "conditioning.labels=true"});
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    ASSERT_EQ(ddpm({"sample", run(), "--out", images(), "--count", "3"}).exit_code, 0);
  }
  static std::string run() { return *shared_ / "run"; }
  static std::string classes() { return *shared_ / "classes"; }
  static std::string images() { return *shared_ / "images"; }  // a folder of three PNGs

  static std::string file(const std::string& folder, int i) {
    return folder + "/00000" + std::to_string(i) + ".png";
  }
  // "ddpm edit" with these words, which must succeed.
  static void edit(std::vector<std::string> words) {
    words.insert(words.begin(), "edit");
    const Finished done = ddpm(words);
    ASSERT_EQ(done.exit_code, 0) << done.err;
  }
  std::string save(const std::string& name, const Image& image) const {
    write_png(folder_ / name, image);
    return folder_ / name;
  }
};

// A mask of 8 x 8 pixels, white where `redrawn` says so.
Image mask_image(bool (*redrawn)(int y, int x)) {
  Image mask{{8, 8, 1}, {}};
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 8; ++x) mask.pixels.push_back(redrawn(y, x) ? 255 : 0);
  return mask;
}

TEST_F(EditProgram, KeepsWhatTheMaskKeepsToTheBit) {
  const std::string png = save("mask.png", mask_image([](int y, int x) { return x > y; }));
  struct Case {
    std::vector<std::string> words;
    bool (*redrawn)(int y, int x);
  };
  const std::vector<Case> cases = {
      {{"--method", "inpaint", "--mask", "right"}, [](int, int x) { return x >= 4; }},
      {{"--method", "inpaint", "--mask", "box:1,2,3,4", "sampling.sampler.name=heun"},
       [](int y, int x) { return y >= 1 && y < 4 && x >= 2 && x < 6; }},
      {{"--method", "repaint", "--mask", png, "--jump-length", "5", "--resamplings", "2"},
       [](int y, int x) { return x > y; }}};
  for (size_t c = 0; c < cases.size(); ++c) {
    const std::string out = folder_ / ("edits" + std::to_string(c));
    std::vector<std::string> words = {run(),        "--images", images(), "--count", "3",
                                      "--variants", "2",        "--out",  out};
    words.insert(words.end(), cases[c].words.begin(), cases[c].words.end());
    edit(words);
    int changed = 0;
    for (int i = 0; i < 6; ++i) {
      const Image input = read_png(file(images(), i / 2)), edited = read_png(file(out, i));
      ASSERT_EQ(edited.shape, input.shape);
      for (int p = 0; p < 64; ++p) {
        if (cases[c].redrawn(p / 8, p % 8)) {
          changed += edited.pixels[p] != input.pixels[p];
        } else {
          EXPECT_EQ(edited.pixels[p], input.pixels[p]) << c << ", pixel " << p;
        }
      }
    }
    EXPECT_GT(changed, 0) << c;
    EXPECT_NE(read_file(file(out, 0)), read_file(file(out, 1))) << "variants have their own noise";
  }
}

TEST_F(EditProgram, StrengthZeroIsTheInputAndOneASample) {
  edit({run(), "--method", "sdedit", "--images", images(), "--count", "3", "--strength", "0,0.5,1",
        "--out", folder_ / "edits"});
  for (int i = 0; i < 3; ++i) {
    const std::string input = read_file(file(images(), i));
    EXPECT_EQ(read_file(file(folder_ / "edits", 3 * i)), input);
    EXPECT_NE(read_file(file(folder_ / "edits", 3 * i + 1)), input);
    // The images are the run's own samples 0 to 2.
    EXPECT_EQ(read_file(file(folder_ / "edits", 3 * i + 2)), input);
  }
}

TEST_F(EditProgram, DoesNotDependOnBatchThreadsAndCount) {
  for (const char* method : {"inpaint", "sdedit"}) {
    const std::string name = method;
    const auto out = [&](const char* kind) { return folder_ / (name + kind + ".npz"); };
    edit({run(), "--method", name, "--count", "5", "--variants", "2", "--out", out("all"),
          "--threads", "1", "sampling.batch_size=10"});
    edit({run(), "--method", name, "--count", "5", "--variants", "2", "--out", out("split"),
          "--threads", "2", "sampling.batch_size=3"});
    EXPECT_EQ(read_file(out("all")), read_file(out("split")));
    // Image 3 alone is what it is among others.
    edit({run(), "--method", name, "--count", "5", "--variants", "2", "--out",
          folder_ / (name + "five")});
    edit({run(), "--method", name, "--first", "3", "--count", "1", "--variants", "2", "--out",
          folder_ / (name + "one")});
    for (int v = 0; v < 2; ++v)
      EXPECT_EQ(read_file(file(folder_ / (name + "one"), v)),
                read_file(file(folder_ / (name + "five"), 6 + v)));
  }
}

TEST_F(EditProgram, ChangesTheClass) {
  const std::string png = folder_ / "grid.png";
  edit({classes(), "--method", "class", "--to-class", "0-2", "--count", "2", "--guidance", "2",
        "--out", png, "sampling.sampler.steps=10"});
  // Two rows of the input and three edits, 64 pixels a side and lines of two between.
  EXPECT_EQ(read_png(png).shape, Shape({2 * 64 + 2, 4 * 64 + 3 * 2, 1}));
  edit({classes(), "--method", "class", "--to-class", "3,4", "--from-class", "2", "--images",
        images(), "--count", "2", "--strength", "0,0.8", "--out", folder_ / "edits", "--guidance",
        "100",  // after 20 steps of training the network barely tells classes apart
        "sampling.sampler.steps=10"});
  for (int i = 0; i < 2; ++i) {
    const std::string input = read_file(file(images(), i));
    EXPECT_EQ(read_file(file(folder_ / "edits", 4 * i)), input);
    EXPECT_EQ(read_file(file(folder_ / "edits", 4 * i + 2)), input);
    EXPECT_NE(read_file(file(folder_ / "edits", 4 * i + 1)),
              read_file(file(folder_ / "edits", 4 * i + 3)));
  }
}

TEST_F(EditProgram, WritesAGridIntoTheRunByItself) {
  const std::string own = copy("run");
  edit({own, "--method", "inpaint", "--count", "2"});
  const Image grid = read_png(own + "/samples/inpaint_00000020_ema.png");
  // Two rows of input, masked input and edit.
  EXPECT_EQ(grid.shape, Shape({2 * 64 + 2, 3 * 64 + 2 * 2, 1}));
}

TEST_F(EditProgram, RefusesBadInputBeforeAnyWork) {
  const std::string wide = save("wide.png", {{8, 9, 1}, std::vector<uint8_t>(72, 255)});
  const std::string grey = save("grey.png", {{8, 8, 1}, std::vector<uint8_t>(64, 100)});
  const std::string colour = save("colour.png", {{8, 8, 3}, std::vector<uint8_t>(192, 0)});
  const std::string all = save("all.png", {{8, 8, 1}, std::vector<uint8_t>(64, 255)});
  const std::string text = folder_ / "text.png";
  write_file(text, "this is no picture");
  struct Case {
    std::vector<std::string> words;
    const char* message;
  };
  const std::vector<Case> cases = {
      {{run()}, "--method is missing; known: inpaint, repaint, sdedit, class"},
      {{run(), "--method", "inpant"},
       "unknown method 'inpant'; known: inpaint, repaint, sdedit, "
       "class. Did you mean 'inpaint'?"},
      {{run(), "--method", "inpaint", "--mask", wide},
       "8 x 9 (H x W) pixels; the run's images have 8 x 8"},
      {{run(), "--method", "inpaint", "--mask", text}, "text.png"},
      {{run(), "--method", "inpaint", "--mask", grey},
       "pixel (0, 0) is 100; a mask is white (255)"},
      {{run(), "--method", "inpaint", "--mask", all}, "redraws every pixel"},
      {{run(), "--method", "inpaint", "--mask", colour}, "keeps every pixel"},
      {{run(), "--method", "inpaint", "--mask", "centre"}, "Did you mean 'center'?"},
      {{run(), "--method", "inpaint", "--mask", "box:0,0,4"}, "a box is box:TOP,LEFT,HEIGHT,WIDTH"},
      {{run(), "--method", "inpaint", "--mask", "box:0,0,4,x"}, "a box is box:"},
      {{run(), "--method", "inpaint", "--mask", "box:6,0,4,2"},
       "the box ends at row 10, column 2 of images of 8 x 8"},
      {{run(), "--method", "inpaint", "--images", folder_ / "none"},
       "there is no such file or folder"},
      {{run(), "--method", "inpaint", "--images", folder_.path() + "/..", "--split", "train"},
       "not both"},
      {{run(), "--method", "inpaint", "--images", wide, "--count", "1"},
       "(8, 9, 1) (H, W, C); the run's images are (8, 8, 1)"},
      {{run(), "--method", "inpaint", "--images", text, "--count", "1"}, "text.png"},
      {{run(), "--method", "inpaint", "--first", "290", "--count", "8"},
       "--first 290 --count 8: the split 'test' of data 'digits' has 297 images, 0 to 296"},
      {{run(), "--method", "inpaint", "--strength", "0.5"},
       "--strength is of --method sdedit and class; inpaint does not use it"},
      {{run(), "--method", "inpaint", "--resamplings", "3"},
       "--resamplings is of --method repaint"},
      {{run(), "--method", "sdedit", "--mask", "left"},
       "--mask is of --method inpaint and repaint"},
      {{run(), "--method", "sdedit", "--strength", "1.5"}, "--strength 1.5: is from 0 to 1"},
      {{run(), "--method", "sdedit", "--strength", "-0.1"}, "--strength -0.1: is from 0 to 1"},
      {{run(), "--method", "sdedit", "--strength", "half"}, "needs a list such as"},
      {{run(), "--method", "sdedit", "sampling.sampler.name=ddim", "sampling.sampler.steps=41"},
       "sampler ddim: 41 steps of a process that has 40"},
      {{run(), "--method", "sdedit", "--to-class", "3"}, "the network knows no classes"},
      {{run(), "--method", "class"}, "needs --to-class"},
      {{run(), "--method", "class", "--to-class", "3", "sampling.sampler.steps=10"},
       "--method class: the network knows no classes; this run was trained with "
       "conditioning.labels false"},
      {{classes(), "--method", "class", "--to-class", "10", "sampling.sampler.steps=10"},
       "--to-class 10: the data 'digits' have the 10 classes 0 (0) to 9 (9)"},
      {{classes(), "--method", "class", "--to-class", "1", "--images", images(), "--count", "1",
        "sampling.sampler.steps=10"},
       "files have no labels; --from-class says"},
      {{classes(), "--method", "inpaint", "--images", images(), "--count", "1"},
       "the network wants a class; --to-class says"},
      {{classes(), "--method", "class", "--to-class", "1", "sampling.sampler.name=ancestral"},
       "ddim alone has a way back"},
      {{classes(), "--method", "class", "--to-class", "1", "sampling.sampler.steps=10",
        "sampling.sampler.eta=0.5"},
       "this ddim adds noise"},
      {{run(), "--method", "repaint", "sampling.sampler.name=unipc"},
       "samplers whose steps need none: ancestral, ddim"},
      {{run(), "--method", "repaint", "--jump-length", "40"},
       "jumps of 40 steps with a sampler that takes 40; at most 39 can be"},
  };
  for (const Case& bad : cases) {
    std::vector<std::string> words = {"edit", "--out", folder_ / "out"};
    words.insert(words.end(), bad.words.begin(), bad.words.end());
    const Finished refused = ddpm(words);
    EXPECT_EQ(refused.exit_code, 2) << refused.err;
    EXPECT_THAT(refused.err, HasSubstr(bad.message));
    EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
    EXPECT_FALSE(fs::exists(folder_ / "out")) << refused.err;
  }
}

}  // namespace
}  // namespace ddpm::testing

// Parsing: what CLI11 would get wrong, and messages word for word.
#include "experiments/cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "framework/core/check.h"

namespace ddpm {
namespace {

using testing::ElementsAre;

struct Options {
  std::string run, out = "here", mode = "auto", resume;
  bool dry_run = false;
  int64_t count = 4;
  std::vector<std::string> set;

  void bind(CommandLine& line) {
    line.positional("RUN", run, false, "a run");
    line.text("-o,--out", out, "DIR", "the folder");
    line.choice("--progress", mode, {"auto", "bar", "none"}, "MODE", "how");
    line.integer("--count", count, 1, 100, "N", "how many");
    line.optional_text("--resume", resume, "latest", "DIR", "go on");
    line.flag("-n,--dry-run", dry_run, "write nothing");
    line.assignments(set);
    line.shorthand("--steps", "training.steps", "N", "optimiser steps");
  }
};

const CommandHelp kHelp = {
    "train it", "RUN [options]", "Trains. And more.", {"ddpm train it x"}, "some files"};

Options parse(const std::vector<std::string>& arguments) {
  CommandLine line(kHelp);
  Options options;
  options.bind(line);
  line.parse(arguments);
  return options;
}

std::string error_of(const std::vector<std::string>& arguments) {
  try {
    parse(arguments);
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

TEST(CommandLine, Defaults) {
  const Options o = parse({});
  EXPECT_EQ(o.out, "here");
  EXPECT_EQ(o.count, 4);
  EXPECT_EQ(o.resume, "");
  EXPECT_FALSE(o.dry_run);
}

TEST(CommandLine, AllForms) {
  const Options o = parse({"runs/a", "-o", "x", "--count=7", "-n", "--progress", "bar"});
  EXPECT_EQ(o.run, "runs/a");
  EXPECT_EQ(o.out, "x");
  EXPECT_EQ(o.count, 7);
  EXPECT_EQ(o.mode, "bar");
  EXPECT_TRUE(o.dry_run);
  EXPECT_EQ(parse({"--out", "a", "--out", "b"}).out, "b");  // the last one counts
}

TEST(CommandLine, AssignmentsKeepTheirOrder) {
  const Options o = parse({"a.b=1", "--set", "c=2", "RUN", "--steps", "3", "d.e=[1, 2]",
                           "--set=f=4", "--steps=5", "g=-6"});
  EXPECT_THAT(o.set, ElementsAre("a.b=1", "c=2", "training.steps=3", "d.e=[1, 2]", "f=4",
                                 "training.steps=5", "g=-6"));
  EXPECT_EQ(o.run, "RUN");
}

TEST(CommandLine, SetTakesOneValue) {
  const Options o = parse({"--set", "a=1", "runs/b"});
  EXPECT_THAT(o.set, ElementsAre("a=1"));
  EXPECT_EQ(o.run, "runs/b");
}

TEST(CommandLine, APathWithAnEqualsSignIsNoAssignment) {
  const Options o = parse({"runs/a=b"});
  EXPECT_EQ(o.run, "runs/a=b");
  EXPECT_TRUE(o.set.empty());
}

TEST(CommandLine, ATwoDashArgumentEndsTheOptions) {
  EXPECT_EQ(parse({"-n", "--", "--odd"}).run, "--odd");
}

TEST(CommandLine, ResumeTakesOnlyAJoinedValue) {
  EXPECT_EQ(parse({"--resume"}).resume, "latest");
  EXPECT_EQ(parse({"--resume=runs/a"}).resume, "runs/a");
  const Options o = parse({"--resume", "training.steps=3"});
  EXPECT_EQ(o.resume, "latest");
  EXPECT_THAT(o.set, ElementsAre("training.steps=3"));
}

TEST(CommandLine, Errors) {
  EXPECT_EQ(error_of({"--stesp", "3"}),
            "unknown option '--stesp'. Did you mean '--steps'? See 'ddpm train it --help'");
  EXPECT_EQ(error_of({"--stesp=3"}),
            "unknown option '--stesp'. Did you mean '--steps'? See 'ddpm train it --help'");
  EXPECT_EQ(error_of({"-z"}), "unknown option '-z'. See 'ddpm train it --help'");
  EXPECT_EQ(error_of({"--out"}), "option --out needs a value");
  EXPECT_EQ(error_of({"--out", "--json"}), "option --out needs a value, found the option '--json'");
  EXPECT_EQ(error_of({"--out=", "-n"}), "option --out needs a value, found the option '-n'");
  EXPECT_EQ(error_of({"--json=x"}), "option --json takes no value");
  EXPECT_EQ(error_of({"--set"}), "option --set needs a value");
  EXPECT_EQ(error_of({"--steps"}), "option --steps needs a value");
  EXPECT_EQ(error_of({"--count", "0"}), "option --count must be an integer in [1, 100], found '0'");
  EXPECT_EQ(error_of({"--count", "7x"}),
            "option --count must be an integer in [1, 100], found '7x'");
  EXPECT_EQ(error_of({"--progress", "bra"}),
            "option --progress must be one of auto, bar, none, found 'bra'. Did you mean 'bar'?");
  EXPECT_EQ(
      error_of({"a", "b"}),
      "unexpected argument 'b'; a setting is written a.b=v, a file of settings --config FILE. "
      "See 'ddpm train it --help'");
}

TEST(CommandLine, RequiredArgument) {
  CommandLine line(kHelp);
  std::string run;
  line.positional("RUN", run, true, "a run");
  try {
    line.parse({});
    FAIL();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "RUN is missing. See 'ddpm train it --help'");
  }
}

TEST(CommandLine, HelpNeedsNothingElse) {
  CommandLine line(kHelp);
  std::string run;
  line.positional("RUN", run, true, "a run");
  line.parse({"--help"});
  EXPECT_TRUE(line.output().help);
}

TEST(CommandLine, RemembersTheWholeCommand) {
  CommandLine line(kHelp);
  Options options;
  options.bind(line);
  line.parse({"x", "--count", "3"});
  EXPECT_THAT(line.argv(), ElementsAre("ddpm", "train", "it", "x", "--count", "3"));
}

TEST(CommandLine, HelpText) {
  CommandLine line(kHelp);
  Options options;
  options.bind(line);
  EXPECT_EQ(line.help(false),
            R"(Usage: ddpm train it RUN [options]

Trains. And more.

Examples:
  ddpm train it x

Arguments:
  RUN                         a run

Options:
  -o, --out DIR               the folder [default: here]
      --progress MODE         how [default: auto; auto, bar, none]
      --count N               how many [default: 4; 1..100]
      --resume[=latest|DIR]   go on
  -n, --dry-run               write nothing
      --set a.b=v             set a key of the configuration; also as a bare a.b=v
      --steps N               optimiser steps: short for training.steps=N
  -h, --help                  show this help
      --json                  print the result as JSON
  -q, --quiet                 errors only
  -v, --verbose               show details
      --color WHEN            colours; auto: on a terminal, unless NO_COLOR is set [default:
                              auto; auto, always, never]

Exit codes:
  0 success; 1 the run failed; 2 wrong usage or configuration; 3 diverged;
  130, 143 stopped by SIGINT, SIGTERM (after a checkpoint)

Files:
  some files
)");
}

}  // namespace
}  // namespace ddpm

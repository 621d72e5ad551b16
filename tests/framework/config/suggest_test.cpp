// Distances with a known answer, and when a suggestion is made at all.
#include "framework/config/suggest.h"

#include <gtest/gtest.h>

namespace ddpm {
namespace {

TEST(Suggest, EditDistance) {
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("linaer", "linear"), 1);  // a swap
  EXPECT_EQ(edit_distance("ca", "abc"), 3);         // optimal string alignment, not Damerau's 2
  EXPECT_EQ(edit_distance("same", "same"), 0);
}

TEST(Suggest, ClosestWithinTwoEdits) {
  const std::vector<std::string> names = {"linear", "cosine", "quadratic", "jsd"};
  EXPECT_EQ(did_you_mean("linaer", names), " Did you mean 'linear'?");
  EXPECT_EQ(did_you_mean("cosinus", names), " Did you mean 'cosine'?");
  EXPECT_EQ(did_you_mean("karras", names), "");
  EXPECT_EQ(did_you_mean("jds", names), " Did you mean 'jsd'?");
  EXPECT_EQ(did_you_mean("abd", names), "");  // two of three letters wrong
  EXPECT_EQ(did_you_mean("", names), "");
  EXPECT_EQ(did_you_mean("x", {}), "");
}

TEST(Suggest, UniquePrefix) {
  EXPECT_EQ(did_you_mean("quad", {"quadratic", "linear"}), " Did you mean 'quadratic'?");
  EXPECT_EQ(did_you_mean("epsilon_prediction", {"epsilon", "x0"}), " Did you mean 'epsilon'?");
  EXPECT_EQ(did_you_mean("warm", {"warmup_10", "warmup_50"}), "");  // which one?
}

}  // namespace
}  // namespace ddpm

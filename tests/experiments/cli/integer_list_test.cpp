// Lists of integers on the command line.
#include "experiments/cli/integer_list.h"

#include <gtest/gtest.h>

#include "framework/core/check.h"

namespace ddpm {
namespace {

using List = std::vector<int64_t>;

TEST(IntegerList, Lists) {
  EXPECT_EQ(parse_integer_list("--seeds", ""), List{});
  EXPECT_EQ(parse_integer_list("--seeds", "5"), List{5});
  EXPECT_EQ(parse_integer_list("--seeds", "0-4,7"), (List{0, 1, 2, 3, 4, 7}));
  EXPECT_EQ(parse_integer_list("--seeds", "9,1-1"), (List{9, 1}));
}

TEST(IntegerList, Errors) {
  for (const char* bad : {"x", "1,", ",1", "1-", "-1", "1--2", "1 2", "99999999999999999999"})
    EXPECT_THROW(parse_integer_list("--seeds", bad), UserError) << bad;
  try {
    parse_integer_list("--seeds", "3-1");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(),
                 "option --seeds needs a list such as 0-4,7, found '3-1': a range must rise");
  }
  EXPECT_THROW(parse_integer_list("--seeds", "0-999999999"), UserError);
  EXPECT_THROW(parse_integer_list("--seeds", "1,0-2"), UserError);
}

}  // namespace
}  // namespace ddpm

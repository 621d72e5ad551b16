#include "experiments/exchange/diffusers_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace ddpm {
namespace {

enum class Count { kUp, kDown };  // levels on the way up are numbered from the last to the first

struct Row {
  std::string_view ours, theirs;
  std::string_view legacy = theirs;
  Count count = Count::kUp;
};

// A path is translated word by word; {} is a number.
constexpr Row kRows[] = {
    {"time_embedding", "time_embedding"},
    {"dense_0", "linear_1"},
    {"dense_1", "linear_2"},
    {"conv_in", "conv_in"},
    {"down_{}", "down_blocks.{}"},
    {"middle", "mid_block"},
    {"up_{}", "up_blocks.{}", "up_blocks.{}", Count::kDown},
    {"downsample", "downsamplers.0.conv"},
    {"upsample", "upsamplers.0.conv"},
    {"norm_out", "conv_norm_out"},
    {"conv_out", "conv_out"},

    {"block_{}", "resnets.{}"},
    {"norm_1", "norm1"},
    {"conv_1", "conv1"},
    {"time_projection", "time_emb_proj"},
    {"norm_2", "norm2"},
    {"conv_2", "conv2"},
    {"shortcut", "conv_shortcut"},

    {"attention_{}", "attentions.{}"},
    {"attention", "attentions.0"},
    {"norm", "group_norm"},
    {"query", "to_q", "query"},
    {"key", "to_k", "key"},
    {"value", "to_v", "value"},
    {"output", "to_out.0", "proj_attn"},

    {"weight", "weight"},
    {"bias", "bias"},
};

const Row* find(std::string_view word) {
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                 [&](const Row& r) { return r.ours == word; });
  return row == std::end(kRows) ? nullptr : row;
}

void append(std::string& name, std::string_view pattern, int64_t number) {
  if (!name.empty()) name += '.';
  name += fmt::format(fmt::runtime(pattern), number);
}

}  // namespace

DiffusersName diffusers_name(const std::string& path, int64_t levels) {
  DiffusersName name;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string word = path.substr(begin, end - begin);
    begin = end + 1;
    int64_t number = 0;
    const Row* row = find(word);
    if (!row) {
      const size_t digits = word.rfind('_') + 1;
      row = find(word.substr(0, digits) + "{}");
      DDPM_ASSERT(row, "'{}' of '{}' has no name in diffusers", word, path);
      number = std::stoll(word.substr(digits));
    }
    if (row->count == Count::kDown) number = levels - 1 - number;
    append(name.current, row->theirs, number);
    append(name.legacy, row->legacy, number);
  }
  return name;
}

Shape diffusers_shape(const std::string& path, const Shape& s) {
  if (s.rank() == 4) return {s[0], s[3], s[1], s[2]};
  if (path.ends_with("/shortcut/weight")) return {s[0], s[1], 1, 1};
  return s;
}

}  // namespace ddpm

// Hugging Face's safetensors: the length of a header, the header as a JSON object {name: {dtype,
// shape, data_offsets}}, and the values. Reading refuses whatever the format forbids: overlaps,
// holes, duplicate names, sizes that do not fit, a header of more than 100 MB.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "framework/io/file.h"
#include "framework/io/named_tensors.h"

namespace ddpm {

// What recognises one by the first byte of its header, which the format prescribes.
bool is_safetensors(const InputFile& file);

// Tensors in the order of their values; F16, I16, I8 and BOOL are widened (element_type.h).
NamedTensors read_safetensors(const std::string& path);

// `tensors` may lie on any device. Wide types come first, so that every value is aligned; otherwise
// the order is kept. Equal content gives equal bytes.
void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace ddpm

#include "framework/io/tensor_file.h"

#include "framework/io/npy.h"
#include "framework/io/safetensors.h"
#include "framework/io/torch_file.h"
#include "framework/io/zip.h"

namespace ddpm {

NamedTensors read_tensor_file(const std::string& path) {
  const InputFile file(path);
  if (is_npy(file)) return read_npy(path);
  if (is_legacy_torch_file(file)) return read_torch_file(path);
  if (is_safetensors(file)) return read_safetensors(path);
  DDPM_CHECK(ZipReader::recognises(file),
             "'{}' is none of the files of tensors that are read: safetensors, PyTorch's (.pth, "
             ".pt, .bin), .npz and .npy",
             path);
  const ZipReader archive(path);
  for (const ZipMember& member : archive.members())
    if (member.name.ends_with("data.pkl")) return read_torch_file(path);
  return read_npz(path);
}

}  // namespace ddpm

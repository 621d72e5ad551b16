// A folder of PNG and JPEG files as a data set. Files are found recursively, in folders that are
// links too; names that start with a dot and files that are no images are passed over, images of
// other formats are refused. The order is that of the bytes of their paths below the folder.
//
// Each image is decoded and turned upright, then changed in this order, so that it equals what
// Pillow makes of it: alpha, channels, centre crop to the aspect ratio of the size, resize. The
// bytes that result are held in memory, one per value: data_sha256 is theirs.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/transforms.h"

namespace ddpm {

// kFolder: the first folder on an image's path names its class, as in torchvision; images that lie
// in no folder have no labels. kPrefix: the file's name up to its first '_', as in OpenAI's code.
enum class ImageLabels { kNone, kFolder, kPrefix };
// What becomes of pixels that are not opaque. Opaque ones lose their alpha channel anyway.
enum class Alpha { kRefuse, kDrop, kWhite, kBlack };

struct ImageFolderOptions {
  std::string path;
  std::string test_path = {};  // of held-out images; may be empty
  ImageLabels labels = ImageLabels::kFolder;
  Alpha alpha = Alpha::kRefuse;
  int64_t channels = 0;            // 1, 3 or 0: as the first image
  std::vector<int64_t> size = {};  // (H, W), or empty: as the first image
  bool crop = true;                // else the whole image is resized; kPad and kNone never crop
  Resize resize = Resize::kNone;
};

// The largest centred part of a shape (H, W, C) that has the aspect ratio of height x width.
struct CropBox {
  int64_t top, left, height, width;
};
CropBox centre_crop(const Shape& image, int64_t height, int64_t width);

// What the bytes of a split may take; beyond it the data are refused.
inline constexpr int64_t kMaxImageFolderBytes = int64_t{64} << 30;

// UserError naming the files when a folder holds no images, or images that are damaged, of another
// kind than the first or refused by the options.
Dataset read_image_folder(const ImageFolderOptions& options);

}  // namespace ddpm

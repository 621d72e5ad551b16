#include "data/image_folder.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>

#include "framework/cpu/parallel.h"
#include "framework/io/image_file.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;

bool is_one_of(const std::string& extension, std::initializer_list<const char*> known) {
  return std::find(known.begin(), known.end(), extension) != known.end();
}

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension;
}

// Adds the paths, relative to the root, of the images in `folder` below it.
void list_images(const fs::path& root, const fs::path& folder, int depth,
                 std::vector<std::string>& found) {
  constexpr int kMaxDepth = 32;  // a link to a folder above it would go on for ever
  const fs::path here = folder.empty() ? root : root / folder;
  DDPM_CHECK(depth < kMaxDepth, "image_folder: '{}' is nested deeper than {} folders",
             here.string(), kMaxDepth);
  std::error_code error;
  for (fs::directory_iterator it(here, error), end; !error && it != end; it.increment(error)) {
    const fs::path path = folder / it->path().filename();
    if (path.filename().string().starts_with(".")) continue;
    std::error_code ignored;  // of a dangling link, which is neither
    if (it->is_directory(ignored)) {
      list_images(root, path, depth + 1, found);
    } else if (const std::string extension = lower_extension(path);
               is_one_of(extension, {".png", ".jpg", ".jpeg"})) {
      found.push_back(path.string());
    } else {
      DDPM_CHECK(!is_one_of(extension, {".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".avif"}),
                 "image_folder: '{}' is neither PNG nor JPEG; convert it or move it away",
                 it->path().string());
    }
  }
  DDPM_CHECK(!error, "image_folder: cannot read the folder '{}': {}", here.string(),
             error.message());
}

std::vector<std::string> list_images(const std::string& root) {
  std::vector<std::string> found;
  list_images(root, "", 0, found);
  DDPM_CHECK(!found.empty(), "image_folder: there is no PNG or JPEG file in '{}'", root);
  std::sort(found.begin(), found.end());
  return found;
}

// The name of an image's class; "" when it has none.
std::string class_of(const std::string& path, ImageLabels labels) {
  const size_t file = path.rfind('/') + 1;  // npos + 1 = 0
  if (labels == ImageLabels::kFolder && file > 0) return path.substr(0, path.find('/'));
  const size_t end = path.find('_', file);
  if (labels == ImageLabels::kPrefix && end != std::string::npos)
    return path.substr(file, end - file);
  return "";
}

// Each image's class, or nothing when no image has one.
std::vector<std::string> classes_of(const std::string& root, const std::vector<std::string>& paths,
                                    ImageLabels labels) {
  std::vector<std::string> classes;
  for (const std::string& path : paths) classes.push_back(class_of(path, labels));
  const auto lacking = std::find(classes.begin(), classes.end(), "");
  if (lacking == classes.end()) return classes;
  const auto having =
      std::find_if(classes.begin(), classes.end(), [](const std::string& c) { return !c.empty(); });
  DDPM_CHECK(having == classes.end(),
             "image_folder: '{}/{}' is of class '{}', but '{}/{}' of none; \"labels\" can be none",
             root, paths[having - classes.begin()], *having, root,
             paths[lacking - classes.begin()]);
  return {};
}

Image without_alpha(Image image, Alpha alpha, const std::string& path) {
  if (image.shape[2] != 4) return image;
  Image out{image.shape.with_inner(3), {}};
  out.pixels.reserve(image.pixels.size() / 4 * 3);
  const int ground = alpha == Alpha::kWhite ? 255 : 0;
  for (size_t i = 0; i < image.pixels.size(); i += 4) {
    const int opacity = image.pixels[i + 3];
    DDPM_CHECK(opacity == 255 || alpha != Alpha::kRefuse,
               "'{}' has transparent pixels; \"alpha\" can be drop, white or black", path);
    for (size_t c = 0; c < 3; ++c) {
      const int blended = (image.pixels[i + c] * opacity + ground * (255 - opacity) + 127) / 255;
      out.pixels.push_back(alpha == Alpha::kDrop ? image.pixels[i + c]
                                                 : static_cast<uint8_t>(blended));
    }
  }
  return out;
}

void apply(const ImageMap& map, const Shape& to, Image& image) {
  Image out{to, std::vector<uint8_t>(static_cast<size_t>(to.numel()))};
  map(image.pixels.data(), out.pixels.data());
  image = std::move(out);
}

Image cropped(const Image& image, const CropBox& box) {
  const int64_t channels = image.shape[2], row = box.width * channels;
  Image out{{box.height, box.width, channels}, {}};
  for (int64_t y = 0; y < box.height; ++y) {
    const auto begin =
        image.pixels.begin() + ((box.top + y) * image.shape[1] + box.left) * channels;
    out.pixels.insert(out.pixels.end(), begin, begin + row);
  }
  return out;
}

Image load(const std::string& path, const ImageFolderOptions& options) {
  Image image = without_alpha(read_image(path), options.alpha, path);
  const std::string what = fmt::format("'{}'", path);
  if (options.channels > 0 && image.shape[2] != options.channels)
    apply(channel_map(what, image.shape, options.channels),
          image.shape.with_inner(options.channels), image);
  if (options.size.empty()) return image;
  const int64_t height = options.size[0], width = options.size[1];
  if (options.crop && options.resize != Resize::kNone && options.resize != Resize::kPad)
    image = cropped(image, centre_crop(image.shape, height, width));
  const Shape to{height, width, image.shape[2]};
  if (image.shape != to) apply(resize_map(what, image.shape, to, options.resize, 256), to, image);
  return image;
}

Split read_split(const std::string& root, const std::vector<std::string>& paths,
                 const ImageFolderOptions& options, Shape& shape, std::string& first) {
  const auto path_of = [&](int64_t i) { return root + "/" + paths[static_cast<size_t>(i)]; };
  Split split;
  split.count = static_cast<int64_t>(paths.size());
  if (shape.rank() == 0) {
    first = path_of(0);
    shape = load(first, options).shape;
    DDPM_CHECK(shape[0] <= kMaxSide && shape[1] <= kMaxSide,
               "'{}' is of {}x{} pixels; allowed are sides of 1 to {}, see \"size\"", first,
               shape[0], shape[1], kMaxSide);
  }
  DDPM_CHECK(split.count <= kMaxImageFolderBytes / shape.numel(),
             "image_folder: '{}' holds {} images; {} bytes each, that is more than the {} GiB "
             "allowed; choose a smaller \"size\"",
             root, split.count, shape.numel(), kMaxImageFolderBytes >> 30);
  split.pixels.resize(static_cast<size_t>(split.count * shape.numel()));
  // Whatever the number of threads, the same images are tried before an error ends it.
  constexpr int64_t kGroup = 1024;
  for (int64_t begin = 0; begin < split.count; begin += kGroup) {
    std::vector<std::string> errors(static_cast<size_t>(std::min(kGroup, split.count - begin)));
    cpu::parallel_for(static_cast<int64_t>(errors.size()), [&](int64_t i) {
      try {
        const Image image = load(path_of(begin + i), options);
        DDPM_CHECK(image.shape == shape,
                   "'{}' is of shape {}, but the first image, '{}', of {}; see \"size\", "
                   "\"channels\"",
                   path_of(begin + i), image.shape, first, shape);
        std::copy(image.pixels.begin(), image.pixels.end(),
                  split.pixels.begin() + (begin + i) * shape.numel());
      } catch (const std::exception& error) {
        errors[static_cast<size_t>(i)] = error.what();
      }
    });
    std::erase(errors, "");
    constexpr size_t kShown = 5;
    if (errors.empty()) continue;
    const size_t count = errors.size();
    errors.resize(std::min(count, kShown));
    fail_user("image_folder: {} of the images {} to {} cannot be used:\n  {}{}", count, begin + 1,
              std::min(begin + kGroup, split.count), fmt::join(errors, "\n  "),
              count > kShown ? "\n  ..." : "");
  }
  return split;
}

}  // namespace

CropBox centre_crop(const Shape& image, int64_t height, int64_t width) {
  CropBox box{0, 0, image[0], image[1]};
  if (image[1] * height > image[0] * width)
    box.width = std::max<int64_t>(1, (2 * image[0] * width + height) / (2 * height));
  else
    box.height = std::max<int64_t>(1, (2 * image[1] * height + width) / (2 * width));
  box.top = (image[0] - box.height) / 2;
  box.left = (image[1] - box.width) / 2;
  return box;
}

Dataset read_image_folder(const ImageFolderOptions& options) {
  struct Part {
    std::string root;
    std::vector<std::string> paths, classes;
    Split* split;
  };
  Dataset dataset;
  dataset.name = "image_folder";
  dataset.source = options.path;
  dataset.licence = "unknown";
  std::vector<Part> parts = {{options.path, {}, {}, &dataset.train}};
  if (!options.test_path.empty()) parts.push_back({options.test_path, {}, {}, &dataset.test});
  // All names are looked at before the first image is decoded.
  std::map<std::string, int32_t> labels;
  for (Part& part : parts) {
    part.paths = list_images(part.root);
    part.classes = classes_of(part.root, part.paths, options.labels);
    for (const std::string& name : part.classes) labels[name];
  }
  for (auto& [name, label] : labels) {
    label = static_cast<int32_t>(dataset.class_names.size());
    dataset.class_names.push_back(name);
  }
  std::string first;
  for (const Part& part : parts) {
    *part.split = read_split(part.root, part.paths, options, dataset.image_shape, first);
    for (const std::string& name : part.classes) part.split->labels.push_back(labels[name]);
  }
  return dataset;
}

}  // namespace ddpm

// CIFAR-10 in its binary distribution: files of records of one label byte and 3,072 pixel bytes,
// the planes R, G, B of a 32 x 32 image.
#pragma once

#include <string>

#include "data/dataset.h"

namespace ddpm {

// `path` is the folder with data_batch_1.bin .. data_batch_5.bin and test_batch.bin, a folder that
// holds it as cifar-10-batches-bin, or one file of records (which then is the training split).
Dataset read_cifar10(const std::string& path);

}  // namespace ddpm

// The studies that come with the program: experiments/studies/*.json of the source, or where they
// were installed.
#pragma once

#include <string>
#include <vector>

namespace ddpm {

struct ShippedStudy {
  std::string name, title, path;
};
std::vector<ShippedStudy> shipped_studies();

// A file, or the name of a shipped study; a UserError otherwise.
std::string find_study(const std::string& file_or_name);

}  // namespace ddpm

// SHA-256 by OpenSSL's libcrypto: identifies checkpoints, configurations and data sets. Digests are
// 64 lower-case hexadecimal digits.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace ddpm {

class Sha256 {
 public:
  Sha256();
  void update(std::span<const std::byte> bytes);
  std::string hex();  // ends the message; nothing may be added afterwards

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string sha256_hex(std::span<const std::byte> bytes);
std::string sha256_hex(std::string_view text);
// Of the file's bytes as stored, read in pieces.
std::string sha256_file(const std::string& path);

}  // namespace ddpm

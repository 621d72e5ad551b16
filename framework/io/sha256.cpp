// The EVP interface of libcrypto; see sha256.h.
#include "framework/io/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>

#include "framework/core/check.h"
#include "framework/io/file.h"

namespace ddpm {

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  DDPM_ASSERT(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1,
              "libcrypto has no SHA-256");
}

void Sha256::update(std::span<const std::byte> bytes) {
  DDPM_ASSERT(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1,
              "libcrypto refused {} bytes", bytes.size());
}

std::string Sha256::hex() {
  std::array<unsigned char, 32> digest;
  DDPM_ASSERT(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1,
              "libcrypto could not finish a digest");
  return fmt::format("{:02x}", fmt::join(digest, ""));
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string sha256_hex(std::string_view text) {
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

std::string sha256_file(const std::string& path) {
  Sha256 hash;
  read_in_pieces(path, [&](std::span<const std::byte> piece) { hash.update(piece); });
  return hash.hex();
}

}  // namespace ddpm

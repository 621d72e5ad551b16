// ZIP archives (APPNOTE 6.3, ZIP64 included) as NumPy and PyTorch use them. Reading knows stored
// and deflated members; encryption and archives in several parts are refused. Writing stores.
//
// Nothing in a file is trusted: the members together may not be larger than the file, nothing may
// claim to inflate by more than deflate can, and every member's checksum is compared. UserErrors
// name the file and the member.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "framework/io/file.h"

namespace ddpm {

struct ZipMember {
  std::string name;
  size_t size = 0;             // bytes
  size_t compressed_size = 0;  // bytes in the archive
  size_t header_offset = 0;
  uint32_t checksum = 0;  // CRC-32
  int method = 0;
  bool encrypted = false;
};

class ZipReader {
 public:
  explicit ZipReader(std::string path);
  // Whether the file begins as an archive does; the rest may still be damaged.
  static bool recognises(const InputFile& file);

  const std::string& path() const { return file_.path(); }
  size_t file_size() const { return file_.size(); }
  const std::vector<ZipMember>& members() const { return members_; }
  const ZipMember* find(std::string_view name) const;  // null where there is none
  // A small member as a whole.
  std::vector<std::byte> read(const ZipMember& member, size_t max_bytes) const;

 private:
  friend class ZipMemberReader;
  void read_directory(size_t count, size_t offset, size_t bytes);

  InputFile file_;
  std::vector<ZipMember> members_;
  std::map<std::string_view, size_t> index_;  // of names, which lie in members_
};

// One member from its beginning to its end.
class ZipMemberReader {
 public:
  ZipMemberReader(const ZipReader& archive, const ZipMember& member);
  ~ZipMemberReader();

  size_t remaining() const { return remaining_; }  // bytes
  // Fills `into` with the next bytes, and compares the checksum when it has read the last.
  void read(std::span<std::byte> into);

 private:
  struct Inflater;
  void inflate(std::span<std::byte> into);

  const InputFile& file_;
  ZipMember member_;
  size_t offset_ = 0;  // of the next byte in the archive
  size_t remaining_, compressed_remaining_;
  uint32_t checksum_ = 0;
  std::unique_ptr<Inflater> inflater_;  // of deflated members
};

// Members are written one after the other, each of a size that is known before.
class ZipWriter {
 public:
  // ZIP64 records are written where a size needs them; `force_zip64` writes them in any case.
  explicit ZipWriter(std::string path, bool force_zip64 = false);

  void begin(std::string name, size_t size);
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  size_t remaining() const { return remaining_; }  // bytes of the member that was begun
  void commit();

 private:
  void end_member();

  OutputFile file_;
  bool force_zip64_;
  std::vector<ZipMember> members_;
  size_t remaining_ = 0;
};

}  // namespace ddpm

// The writing half of zip.h: stored members, without dates, so that equal content gives equal
// bytes.
#include <zlib.h>

#include "framework/core/check.h"
#include "framework/io/zip.h"

namespace ddpm {

namespace {

constexpr uint64_t kSaturated = 0xffffffff;
constexpr size_t kChecksumOffset = 14;  // in a local header

// Least significant byte first.
void put(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}

// What the local and the central record of a member share. Its sizes stand in `extra` if that is
// not empty.
void put_fields(std::string& out, const ZipMember& member, size_t extra_bytes,
                bool sizes_in_extra) {
  constexpr uint32_t kFirstOfJanuary1980 = 1 << 5 | 1;
  const uint64_t size = sizes_in_extra ? kSaturated : member.size;
  put(out, extra_bytes > 0 ? 45 : 20, 2);  // version needed
  put(out, 0, 2);                          // flags
  put(out, 0, 2);                          // stored
  put(out, 0, 2);                          // time
  put(out, kFirstOfJanuary1980, 2);
  put(out, member.checksum, 4);
  put(out, size, 4);  // compressed
  put(out, size, 4);
  put(out, member.name.size(), 2);
  put(out, extra_bytes, 2);
}

std::string zip64_extra(const ZipMember& member, bool with_sizes, bool with_offset) {
  std::string extra;
  if (!with_sizes && !with_offset) return extra;
  put(extra, 1, 2);
  put(extra, (with_sizes ? 16 : 0) + (with_offset ? 8 : 0), 2);
  if (with_sizes) put(extra, member.size, 8), put(extra, member.size, 8);
  if (with_offset) put(extra, member.header_offset, 8);
  return extra;
}

}  // namespace

ZipWriter::ZipWriter(std::string path, bool force_zip64)
    : file_(std::move(path)), force_zip64_(force_zip64) {}

void ZipWriter::begin(std::string name, size_t size) {
  end_member();
  ZipMember member{.name = std::move(name), .size = size, .header_offset = file_.size()};
  const bool large = force_zip64_ || size >= kSaturated;
  const std::string extra = zip64_extra(member, large, false);
  std::string header;
  put(header, 0x04034b50, 4);
  put_fields(header, member, extra.size(), large);
  file_.write(header + member.name + extra);
  members_.push_back(std::move(member));
  remaining_ = size;
}

void ZipWriter::write(std::span<const std::byte> bytes) {
  DDPM_ASSERT(bytes.size() <= remaining_, "{} bytes for '{}', which wants {}", bytes.size(),
              members_.empty() ? "" : members_.back().name, remaining_);
  ZipMember& member = members_.back();
  member.checksum = static_cast<uint32_t>(
      crc32_z(member.checksum, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
  file_.write(bytes);
  remaining_ -= bytes.size();
}

// The checksum is known only now.
void ZipWriter::end_member() {
  if (members_.empty()) return;
  const ZipMember& member = members_.back();
  DDPM_ASSERT(remaining_ == 0, "'{}' lacks {} bytes", member.name, remaining_);
  std::string checksum;
  put(checksum, member.checksum, 4);
  file_.overwrite(member.header_offset + kChecksumOffset,
                  std::as_bytes(std::span(checksum.data(), checksum.size())));
}

void ZipWriter::commit() {
  end_member();
  const uint64_t offset = file_.size();
  std::string directory;
  for (const ZipMember& member : members_) {
    const bool large = force_zip64_ || member.size >= kSaturated;
    const bool far = force_zip64_ || member.header_offset >= kSaturated;
    const std::string extra = zip64_extra(member, large, far);
    put(directory, 0x02014b50, 4);
    put(directory, extra.empty() ? 20 : 45, 2);  // version made by
    put_fields(directory, member, extra.size(), large);
    put(directory, 0, 4);  // no comment, first disk
    put(directory, 0, 2);  // internal attributes
    put(directory, 0, 4);  // external attributes
    put(directory, far ? kSaturated : member.header_offset, 4);
    directory += member.name + extra;
  }
  const uint64_t bytes = directory.size(), count = members_.size(), end = offset + bytes;
  constexpr uint64_t kSaturatedCount = 0xffff;
  if (force_zip64_ || end >= kSaturated || count >= kSaturatedCount) {
    put(directory, 0x06064b50, 4);
    put(directory, 44, 8);  // bytes that follow
    put(directory, 45, 2);  // version made by
    put(directory, 45, 2);  // version needed
    put(directory, 0, 8);   // this disk and the directory's
    put(directory, count, 8);
    put(directory, count, 8);
    put(directory, bytes, 8);
    put(directory, offset, 8);
    put(directory, 0x07064b50, 4);
    put(directory, 0, 4);
    put(directory, end, 8);
    put(directory, 1, 4);  // disks
  }
  put(directory, 0x06054b50, 4);
  put(directory, 0, 4);  // one disk
  put(directory, std::min(count, kSaturatedCount), 2);
  put(directory, std::min(count, kSaturatedCount), 2);
  put(directory, std::min(bytes, kSaturated), 4);
  put(directory, std::min(offset, kSaturated), 4);
  put(directory, 0, 2);  // no comment
  file_.write(directory);
  file_.commit();
}

}  // namespace ddpm

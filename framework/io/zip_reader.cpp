// The reading half of zip.h; numbers of sections are those of PKWARE's APPNOTE 6.3.
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "framework/core/check.h"
#include "framework/io/zip.h"

namespace ddpm {

namespace {

constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEnd = 0x06054b50,
                   kZip64End = 0x06064b50, kZip64Locator = 0x07064b50;
constexpr size_t kLocalHeaderBytes = 30, kCentralHeaderBytes = 46, kEndBytes = 22,
                 kZip64EndBytes = 56, kZip64LocatorBytes = 20;
constexpr size_t kMaxCommentBytes = 65535;
constexpr uint32_t kInZip64 = 0xffffffff;  // a field whose value stands in the ZIP64 record
constexpr int kStored = 0, kDeflated = 8;
constexpr size_t kMaxInflation = 1032;  // 258 bytes from two bits, as zlib's author counts

// Least significant byte first. Callers have checked that the bytes are there.
uint64_t number(std::span<const std::byte> bytes, size_t offset, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i) value |= static_cast<uint64_t>(bytes[offset + i]) << (8 * i);
  return value;
}

// The ZIP64 extra field (4.5.3) holds those of size, compressed size and offset that are saturated
// in the record, in this order. False if one is missing.
bool take_zip64(std::span<const std::byte> extra, ZipMember& member) {
  std::vector<size_t*> wanted;
  for (size_t* field : {&member.size, &member.compressed_size, &member.header_offset})
    if (*field == kInZip64) wanted.push_back(field);
  if (wanted.empty()) return true;
  while (extra.size() >= 4) {
    const size_t id = number(extra, 0, 2), bytes = number(extra, 2, 2);
    extra = extra.subspan(4);
    if (bytes > extra.size()) return false;
    if (id == 1) {
      if (bytes < 8 * wanted.size()) return false;
      for (size_t i = 0; i < wanted.size(); ++i) *wanted[i] = number(extra, 8 * i, 8);
      return true;
    }
    extra = extra.subspan(bytes);
  }
  return false;
}

}  // namespace

bool ZipReader::recognises(const InputFile& file) {
  return file.size() >= 4 && number(file.read(0, 4), 0, 4) == kLocalHeader;
}

ZipReader::ZipReader(std::string path) : file_(std::move(path)) {
  // The record that ends the archive (4.3.16) is found from behind: a comment may follow it.
  const size_t tail_bytes = std::min(file_.size(), kEndBytes + kMaxCommentBytes);
  const size_t tail_offset = file_.size() - tail_bytes;
  const std::vector<std::byte> tail = file_.read(tail_offset, tail_bytes);
  size_t at = tail.size() + 1;
  for (size_t i = tail.size() < kEndBytes ? 0 : tail.size() - kEndBytes + 1; i-- > 0;) {
    if (number(tail, i, 4) != kEnd) continue;
    if (i + kEndBytes + number(tail, i + 20, 2) != tail.size()) continue;
    at = i;
    break;
  }
  DDPM_CHECK(at < tail.size(), "'{}' is not a complete ZIP archive: its end is missing",
             file_.path());
  size_t disk = number(tail, at + 4, 2), count = number(tail, at + 10, 2);
  size_t bytes = number(tail, at + 12, 4), offset = number(tail, at + 16, 4);
  size_t end = tail_offset + at;  // the directory ends before it
  if (end >= kZip64LocatorBytes + kZip64EndBytes) {
    const auto locator = file_.read(end - kZip64LocatorBytes, kZip64LocatorBytes);
    if (number(locator, 0, 4) == kZip64Locator) {  // 4.3.15
      end = number(locator, 8, 8);
      const auto record = file_.read(end, kZip64EndBytes);  // 4.3.14
      DDPM_CHECK(number(record, 0, 4) == kZip64End, "'{}' is damaged: no ZIP64 record at byte {}",
                 file_.path(), end);
      disk = number(record, 16, 4), count = number(record, 32, 8);
      bytes = number(record, 40, 8), offset = number(record, 48, 8);
    }
  }
  DDPM_CHECK(disk == 0, "'{}' is one part of several of a ZIP archive", file_.path());
  DDPM_CHECK(offset <= end && bytes <= end - offset && count <= bytes / kCentralHeaderBytes,
             "'{}' is damaged: a ZIP directory of {} members in {} bytes at byte {} does not fit",
             file_.path(), count, bytes, offset);
  read_directory(count, offset, bytes);
}

void ZipReader::read_directory(size_t count, size_t offset, size_t bytes) {
  const std::vector<std::byte> directory = file_.read(offset, bytes);
  std::span<const std::byte> rest = directory;
  members_.reserve(count);
  size_t room = file_.size();
  for (size_t i = 0; i < count; ++i) {
    DDPM_CHECK(rest.size() >= kCentralHeaderBytes && number(rest, 0, 4) == kCentralHeader,
               "'{}' is damaged: no directory record for member {} of {}", path(), i, count);
    const size_t name_bytes = number(rest, 28, 2), extra_bytes = number(rest, 30, 2);
    const size_t record_bytes =
        kCentralHeaderBytes + name_bytes + extra_bytes + number(rest, 32, 2);
    DDPM_CHECK(record_bytes <= rest.size(), "'{}' is damaged: the record of member {} is cut off",
               path(), i);
    ZipMember& member = members_.emplace_back();
    member.name.assign(reinterpret_cast<const char*>(rest.data()) + kCentralHeaderBytes,
                       name_bytes);
    member.encrypted = number(rest, 8, 2) & 1;
    member.method = static_cast<int>(number(rest, 10, 2));
    member.checksum = static_cast<uint32_t>(number(rest, 16, 4));
    member.compressed_size = number(rest, 20, 4);
    member.size = number(rest, 24, 4);
    member.header_offset = number(rest, 42, 4);
    DDPM_CHECK(take_zip64(rest.subspan(kCentralHeaderBytes + name_bytes, extra_bytes), member),
               "'{}' is damaged: '{}' lacks its ZIP64 sizes", path(), member.name);
    DDPM_CHECK(index_.emplace(member.name, i).second, "'{}' has two members called '{}'", path(),
               member.name);
    // Members that lie on top of one another could inflate without bound.
    DDPM_CHECK(member.compressed_size <= room,
               "'{}' is damaged: its members up to '{}' are larger than the file", path(),
               member.name);
    room -= member.compressed_size;
    rest = rest.subspan(record_bytes);
  }
}

const ZipMember* ZipReader::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &members_[found->second];
}

std::vector<std::byte> ZipReader::read(const ZipMember& member, size_t max_bytes) const {
  ZipMemberReader reader(*this, member);
  DDPM_CHECK(member.size <= max_bytes, "'{}': '{}' has {} bytes, at most {} are allowed", path(),
             member.name, member.size, max_bytes);
  std::vector<std::byte> bytes(member.size);
  reader.read(bytes);
  return bytes;
}

struct ZipMemberReader::Inflater {
  Inflater() {
    constexpr int kRawDeflate = -15;
    if (inflateInit2(&stream, kRawDeflate) != Z_OK) fail("zlib cannot start to inflate");
  }
  ~Inflater() { inflateEnd(&stream); }

  z_stream stream = {};
  std::vector<std::byte> input = std::vector<std::byte>(size_t{1} << 16);
};

ZipMemberReader::~ZipMemberReader() = default;

ZipMemberReader::ZipMemberReader(const ZipReader& archive, const ZipMember& member)
    : file_(archive.file_),
      member_(member),
      remaining_(member.size),
      compressed_remaining_(member.compressed_size) {
  const std::string& path = file_.path();
  DDPM_CHECK(!member.encrypted, "'{}': '{}' is encrypted", path, member.name);
  DDPM_CHECK(member.method == kStored || member.method == kDeflated,
             "'{}': '{}' is compressed by method {}; known are 0 (stored) and 8 (deflated)", path,
             member.name, member.method);
  const bool deflated = member.method == kDeflated;
  DDPM_CHECK(deflated ? member.size / kMaxInflation <= member.compressed_size
                      : member.size == member.compressed_size,
             "'{}' is damaged: '{}' cannot have {} bytes in {}", path, member.name, member.size,
             member.compressed_size);
  const std::vector<std::byte> header = file_.read(member.header_offset, kLocalHeaderBytes);
  DDPM_CHECK(number(header, 0, 4) == kLocalHeader,
             "'{}' is damaged: '{}' does not begin at byte {}", path, member.name,
             member.header_offset);
  // Its extra field may be another than the directory's: PyTorch aligns values by it.
  offset_ =
      member.header_offset + kLocalHeaderBytes + number(header, 26, 2) + number(header, 28, 2);
  DDPM_CHECK(offset_ <= file_.size() && member.compressed_size <= file_.size() - offset_,
             "'{}' is truncated: '{}' goes beyond its end", path, member.name);
  if (deflated) inflater_ = std::make_unique<Inflater>();
}

void ZipMemberReader::read(std::span<std::byte> into) {
  DDPM_CHECK(into.size() <= remaining_,
             "'{}': '{}' is truncated: {} more bytes are needed, it has {}", file_.path(),
             member_.name, into.size(), remaining_);
  if (inflater_) {
    inflate(into);
  } else {
    file_.read(offset_, into);
    offset_ += into.size();
  }
  checksum_ = static_cast<uint32_t>(
      crc32_z(checksum_, reinterpret_cast<const Bytef*>(into.data()), into.size()));
  remaining_ -= into.size();
  DDPM_CHECK(remaining_ > 0 || checksum_ == member_.checksum,
             "'{}' is damaged: the checksum of '{}' does not fit", file_.path(), member_.name);
}

void ZipMemberReader::inflate(std::span<std::byte> into) {
  z_stream& stream = inflater_->stream;
  constexpr size_t kPiece = size_t{1} << 30;  // zlib counts in 32 bits
  while (!into.empty()) {
    if (stream.avail_in == 0 && compressed_remaining_ > 0) {
      const size_t n = std::min(inflater_->input.size(), compressed_remaining_);
      file_.read(offset_, std::span(inflater_->input).first(n));
      offset_ += n, compressed_remaining_ -= n;
      stream.next_in = reinterpret_cast<Bytef*>(inflater_->input.data());
      stream.avail_in = static_cast<uInt>(n);
    }
    const size_t asked = std::min(into.size(), kPiece);
    stream.next_out = reinterpret_cast<Bytef*>(into.data());
    stream.avail_out = static_cast<uInt>(asked);
    const int status = ::inflate(&stream, Z_NO_FLUSH);
    into = into.subspan(asked - stream.avail_out);
    // The end before `into` is full, or no progress without more input, is damage.
    const bool is_well = status == Z_OK || (status == Z_STREAM_END && into.empty());
    DDPM_CHECK(is_well, "'{}' is damaged: '{}' cannot be inflated: {}", file_.path(), member_.name,
               stream.msg ? stream.msg : "it ends too early");
  }
}

}  // namespace ddpm

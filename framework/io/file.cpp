// POSIX descriptors rather than streams: fsync, O_APPEND and errno are the point of this file.
#include "framework/io/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "framework/core/check.h"

namespace ddpm {

namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags, const char* purpose)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    DDPM_CHECK(fd_ >= 0, "cannot {} '{}': {}", purpose, path, std::strerror(errno));
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  operator int() const { return fd_; }
  // Network file systems report a failed write only here.
  int close() { return ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

[[noreturn]] void fail_writing(const std::string& path) {
  fail("cannot write '{}': {}", path, std::strerror(errno));
}

void write_all(int fd, const std::string& path, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_writing(path);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void sync(const std::string& path) {
  const Descriptor file(path, O_RDONLY, "open");
  // Some file systems cannot sync a folder and say so with EINVAL.
  if (::fsync(file) != 0 && errno != EINVAL) fail_writing(path);
}

bool is_special(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

void check_size(const std::string& path, size_t found, size_t max_bytes) {
  DDPM_CHECK(found <= max_bytes, "'{}' is too large: more than the {} bytes allowed", path,
             max_bytes);
}

}  // namespace

void read_in_pieces(const std::string& path,
                    const std::function<void(std::span<const std::byte>)>& piece) {
  const Descriptor file(path, O_RDONLY, "open");
  std::vector<std::byte> buffer(kPieceBytes);
  for (;;) {
    const ssize_t n = ::read(file, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    DDPM_CHECK(n >= 0, "cannot read '{}': {}", path, std::strerror(errno));
    if (n == 0) return;
    piece(std::span(buffer).first(static_cast<size_t>(n)));
  }
}

std::string read_text_file(const std::string& path, size_t max_bytes) {
  std::string text;
  read_in_pieces(path, [&](std::span<const std::byte> piece) {
    check_size(path, text.size() + piece.size(), max_bytes);
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  return text;
}

std::vector<std::byte> read_binary_file(const std::string& path, size_t max_bytes) {
  std::vector<std::byte> bytes;
  read_in_pieces(path, [&](std::span<const std::byte> piece) {
    check_size(path, bytes.size() + piece.size(), max_bytes);
    bytes.insert(bytes.end(), piece.begin(), piece.end());
  });
  return bytes;
}

std::vector<std::byte> read_gzip_file(const std::string& path, size_t max_bytes) {
  errno = 0;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rbe"), gzclose_r);
  DDPM_CHECK(file, "cannot open '{}': {}", path, std::strerror(errno));
  std::vector<std::byte> bytes;
  for (;;) {
    const size_t size = bytes.size();
    bytes.resize(size + kPieceBytes);
    const int n = gzread(file.get(), bytes.data() + size, kPieceBytes);
    int status = Z_OK;
    const char* message = gzerror(file.get(), &status);
    // A truncated file is first read to its end, then reported as Z_BUF_ERROR.
    DDPM_CHECK(n >= 0 && status == Z_OK, "cannot read '{}': {}", path,
               status == Z_BUF_ERROR ? "the gzip data is truncated"
               : status == Z_ERRNO   ? std::strerror(errno)
                                     : message);
    bytes.resize(size + static_cast<size_t>(n));
    check_size(path, bytes.size(), max_bytes);
    if (n == 0) return bytes;
  }
}

std::string temporary_path(const std::string& path) {
  return fmt::format("{}.tmp.{}", path, ::getpid());
}

void publish_file(const std::string& temporary, const std::string& path) {
  sync(temporary);
  if (::rename(temporary.c_str(), path.c_str()) != 0) fail_writing(path);
  const std::string folder = std::filesystem::path(path).parent_path();
  sync(folder.empty() ? "." : folder);
}

InputFile::InputFile(std::string path)
    : path_(std::move(path)), fd_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  DDPM_CHECK(fd_ >= 0, "cannot open '{}': {}", path_, std::strerror(errno));
  struct stat status;
  if (::fstat(fd_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd_);
    fail_user("cannot read '{}': not a regular file", path_);
  }
  size_ = static_cast<size_t>(status.st_size);
}

InputFile::~InputFile() { ::close(fd_); }

void InputFile::check_range(size_t offset, size_t bytes) const {
  DDPM_CHECK(offset <= size_ && bytes <= size_ - offset,
             "'{}' is truncated: {} bytes are needed at byte {}, the file has {}", path_, bytes,
             offset, size_);
}

void InputFile::read(size_t offset, std::span<std::byte> into) const {
  check_range(offset, into.size());
  while (!into.empty()) {
    const ssize_t n = ::pread(fd_, into.data(), into.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    DDPM_CHECK(n > 0, "cannot read '{}': {}", path_,
               n < 0 ? std::strerror(errno) : "it became shorter while it was read");
    into = into.subspan(static_cast<size_t>(n));
    offset += static_cast<size_t>(n);
  }
}

std::vector<std::byte> InputFile::read(size_t offset, size_t bytes) const {
  check_range(offset, bytes);  // before memory is asked for
  std::vector<std::byte> result(bytes);
  read(offset, result);
  return result;
}

OutputFile::OutputFile(std::string path) : path_(std::move(path)), special_(is_special(path_)) {
  const std::string target = special_ ? path_ : temporary_path(path_);
  fd_ = ::open(target.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (special_ ? 0 : O_TRUNC), 0666);
  DDPM_CHECK(fd_ >= 0, "cannot create '{}': {}", path_, std::strerror(errno));
  if (!special_) temporary_ = target;
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::write(std::span<const std::byte> bytes) {
  write_all(fd_, path_, bytes);
  size_ += bytes.size();
}

void OutputFile::overwrite(size_t offset, std::span<const std::byte> bytes) {
  DDPM_ASSERT(offset + bytes.size() <= size_, "'{}' has only {} bytes", path_, size_);
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_writing(path_);
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<size_t>(n);
  }
}

void OutputFile::commit() {
  DDPM_ASSERT(fd_ >= 0, "'{}' is already committed", path_);
  // Network file systems report a failed write only here.
  if (::close(std::exchange(fd_, -1)) != 0) fail_writing(path_);
  if (special_) return;
  publish_file(temporary_, path_);
  temporary_.clear();
}

void write_file_atomically(const std::string& path, std::span<const std::byte> bytes) {
  OutputFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomically(const std::string& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size())));
}

void append_line(const std::string& path, std::string_view line) {
  DDPM_ASSERT(line.find('\n') == std::string_view::npos, "a line of '{}' contains a newline", path);
  Descriptor file(path, O_WRONLY | O_APPEND | O_CREAT, "append to");
  const std::string text = std::string(line) + '\n';
  const ssize_t n = ::write(file, text.data(), text.size());
  if (n >= 0 && static_cast<size_t>(n) < text.size()) errno = ENOSPC;  // a short write
  if (n != static_cast<ssize_t>(text.size()) || file.close() != 0) fail_writing(path);
}

}  // namespace ddpm

// Files as a whole: bounded reading, atomic writing, appending lines.
//
// What the user can mend (a missing, oversized or malformed file, a directory that does not exist)
// is a UserError; a write that fails under way (a full disk) is an Error: the run could not go on.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ddpm {

inline constexpr size_t kMaxTextFileBytes = size_t{64} << 20;
inline constexpr size_t kMaxBinaryFileBytes = size_t{4} << 30;

std::string read_text_file(const std::string& path, size_t max_bytes = kMaxTextFileBytes);
std::vector<std::byte> read_binary_file(const std::string& path,
                                        size_t max_bytes = kMaxBinaryFileBytes);
// The decompressed content of a gzip file; the content itself of any other file. `max_bytes` bounds
// what comes out, so a small file that inflates without end is refused.
std::vector<std::byte> read_gzip_file(const std::string& path,
                                      size_t max_bytes = kMaxBinaryFileBytes);
// Hands over the file's bytes in order, for files that need not fit into memory.
void read_in_pieces(const std::string& path,
                    const std::function<void(std::span<const std::byte>)>& piece);

// A regular file that is read where something is needed, so that it need not fit into memory.
class InputFile {
 public:
  explicit InputFile(std::string path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  size_t size() const { return size_; }
  // Fills `into` with what stands from `offset` on; a UserError where the file ends before.
  void read(size_t offset, std::span<std::byte> into) const;
  std::vector<std::byte> read(size_t offset, size_t bytes) const;

 private:
  void check_range(size_t offset, size_t bytes) const;

  std::string path_;
  int fd_;
  size_t size_ = 0;
};

// A file that is written piece by piece. Readers of `path` see the old content or the new, also
// after a power failure: the bytes go to a temporary in the same folder, which commit() publishes.
// A device or pipe is written in place.
class OutputFile {
 public:
  explicit OutputFile(std::string path);
  ~OutputFile();  // without a commit nothing has changed
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  const std::string& path() const { return path_; }
  size_t size() const { return size_; }  // written so far
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  // Replaces bytes that were written before.
  void overwrite(size_t offset, std::span<const std::byte> bytes);
  void commit();

 private:
  std::string path_, temporary_;  // the temporary is empty once there is nothing to remove
  int fd_;
  bool special_;
  size_t size_ = 0;
};

// The same for what is in memory already.
void write_file_atomically(const std::string& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::string& path, std::string_view text);

// The two halves of an atomic write, for libraries that create the file themselves.
std::string temporary_path(const std::string& path);
// fsync the temporary, rename it to `path`, fsync the folder.
void publish_file(const std::string& temporary, const std::string& path);

// Appends `line` and a newline with one write() on O_APPEND, so that lines of several writers never
// mix and an interrupted run tears at most the last one.
void append_line(const std::string& path, std::string_view line);

}  // namespace ddpm

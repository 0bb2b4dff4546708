// Lines of a file, a pipe or a terminal, of any bytes; stops waiting when it is told to.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace baton::cli {

class LineReader {
 public:
  // `path` "-" is standard input. Reading ends early when `stop_fd` becomes readable.
  static absl::StatusOr<LineReader> Open(const std::string& path, int stop_fd);

  LineReader(LineReader&& other) noexcept;
  LineReader& operator=(LineReader&&) = delete;
  ~LineReader();

  // The next line without its end, also an empty one, and a last one that has no end; nullopt at the end of
  // the input, or when told to stop. ERRORS: RESOURCE_EXHAUSTED for a line of more than kBodyBytesCeiling.
  // BLOCKS.
  absl::StatusOr<std::optional<std::string>> Next();
  // Everything that is left. ERRORS: as Next. BLOCKS.
  absl::StatusOr<std::optional<std::string>> Rest();

  bool IsTerminal() const;
  // Nothing has come that was not given out: the next call may have to wait.
  bool MayBlock() const { return buffer_.find('\n', begin_) == std::string::npos; }

 private:
  LineReader(int fd, std::string path, int stop_fd) : fd_(fd), path_(std::move(path)), stop_fd_(stop_fd) {}
  // More bytes into the buffer. False: there are none, or it was told to stop.
  absl::StatusOr<bool> Fill();

  int fd_;
  std::string path_;
  int stop_fd_;
  std::string buffer_;
  size_t begin_ = 0;  // of what was not given out
  bool ended_ = false;
  bool stopped_ = false;
};

}  // namespace baton::cli

#include "client/cli/line_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/byte_size.h"
#include "base/error.h"
#include "base/limits.h"

namespace baton::cli {
namespace {

constexpr size_t kChunk = 256u << 10;

absl::Status CannotRead(const std::string& path, int error) {
  return MakeError(absl::StatusCode::kUnknown, reason::kInvalidArgument,
                   fmt::format("cannot read {}: {}", path, std::strerror(error)));
}

}  // namespace

absl::StatusOr<LineReader> LineReader::Open(const std::string& path, int stop_fd) {
  if (path == "-") return LineReader(STDIN_FILENO, "standard input", stop_fd);
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return CannotRead(path, errno);
  return LineReader(fd, path, stop_fd);
}

LineReader::LineReader(LineReader&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      stop_fd_(other.stop_fd_),
      buffer_(std::move(other.buffer_)),
      begin_(other.begin_),
      ended_(other.ended_),
      stopped_(other.stopped_) {}

LineReader::~LineReader() {
  if (fd_ > STDIN_FILENO) ::close(fd_);
}

bool LineReader::IsTerminal() const { return ::isatty(fd_) == 1; }

absl::StatusOr<bool> LineReader::Fill() {
  if (buffer_.size() - begin_ > kBodyBytesCeiling) {
    return MakeError(absl::StatusCode::kResourceExhausted, reason::kBodyTooLarge,
                     fmt::format("{} has a message of more than {}, which no broker takes", path_,
                                 FormatByteSize(kBodyBytesCeiling)));
  }
  buffer_.erase(0, begin_);
  begin_ = 0;
  while (true) {
    pollfd ready[2] = {{.fd = fd_, .events = POLLIN, .revents = 0},
                       {.fd = stop_fd_, .events = POLLIN, .revents = 0}};
    if (::poll(ready, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return CannotRead(path_, errno);
    }
    if (ready[1].revents != 0) {
      stopped_ = true;
      return false;
    }
    const size_t size = buffer_.size();
    buffer_.resize(size + kChunk);
    const ssize_t count = ::read(fd_, buffer_.data() + size, kChunk);
    const int error = errno;
    buffer_.resize(size + (count > 0 ? static_cast<size_t>(count) : 0));
    if (count < 0 && (error == EINTR || error == EAGAIN)) continue;
    if (count < 0) return CannotRead(path_, error);
    ended_ = count == 0;
    return !ended_;
  }
}

absl::StatusOr<std::optional<std::string>> LineReader::Next() {
  size_t looked_at = 0;
  while (true) {
    const size_t end = buffer_.find('\n', begin_ + looked_at);
    if (end != std::string::npos) {
      std::string line = buffer_.substr(begin_, end - begin_);
      begin_ = end + 1;
      return line;
    }
    looked_at = buffer_.size() - begin_;
    if (!ended_ && !stopped_) {
      if (const auto more = Fill(); !more.ok()) return more.status();
      continue;
    }
    if (stopped_ || looked_at == 0) return std::nullopt;
    std::string line = buffer_.substr(begin_);
    begin_ = buffer_.size();
    return line;
  }
}

absl::StatusOr<std::optional<std::string>> LineReader::Rest() {
  while (!ended_ && !stopped_) {
    if (const auto more = Fill(); !more.ok()) return more.status();
  }
  if (stopped_) return std::nullopt;
  std::string rest = buffer_.substr(begin_);
  begin_ = buffer_.size();
  return rest;
}

}  // namespace baton::cli

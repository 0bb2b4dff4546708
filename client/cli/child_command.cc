#include "client/cli/child_command.h"

#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace baton::cli {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kTermPatience{3};
constexpr int kPollMillis = 100;

absl::Status Failed(std::string_view what, int error) {
  return MakeError(absl::StatusCode::kUnknown, reason::kInvalidArgument,
                   fmt::format("{}: {}", what, std::strerror(error)));
}

// A descriptor of our own, closed at the end.
class OwnedFd {
 public:
  explicit OwnedFd(int fd) : fd_(fd) {}
  ~OwnedFd() {
    if (fd_ >= 0) ::close(fd_);
  }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// The body in a nameless file, so that nobody has to feed a pipe, and the command may ignore its input.
int BodyFile(std::string_view body) {
  const int fd = ::memfd_create("baton-message", MFD_CLOEXEC);
  while (fd >= 0 && !body.empty()) {
    const ssize_t written = ::write(fd, body.data(), body.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      ::close(fd);
      errno = error;
      return -1;
    }
    body.remove_prefix(static_cast<size_t>(written));
  }
  if (fd >= 0) ::lseek(fd, 0, SEEK_SET);
  return fd;
}

// BATON_HEADER_CONTENT_TYPE for "content-type".
std::string VariableOf(const std::string& header) {
  std::string name = "BATON_HEADER_";
  for (const char c : header) {
    const auto byte = static_cast<unsigned char>(c);
    name.push_back(std::isalnum(byte) != 0 ? static_cast<char>(std::toupper(byte)) : '_');
  }
  return name;
}

std::vector<std::string> EnvironmentFor(const Delivery& delivery) {
  std::vector<std::string> variables;
  for (char** variable = ::environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const bool of_a_message = text.rfind("BATON_", 0) == 0 && text.rfind("BATON_URL=", 0) != 0;
    if (!of_a_message) variables.emplace_back(text);
  }
  variables.push_back("BATON_MESSAGE_ID=" + delivery.message_id());
  variables.push_back(fmt::format("BATON_QUEUE={}", delivery.queue()));
  variables.push_back(fmt::format("BATON_PRIORITY={}", delivery.priority()));
  variables.push_back(fmt::format("BATON_ATTEMPT={}", delivery.attempt()));
  variables.push_back(fmt::format("BATON_REDELIVERED={}", delivery.redelivered() ? 1 : 0));
  const auto published = delivery.published_at().time_since_epoch();
  variables.push_back(fmt::format("BATON_PUBLISHED_UNIX_MS={}",
                                  std::chrono::floor<std::chrono::milliseconds>(published).count()));
  variables.push_back(fmt::format("BATON_BODY_BYTES={}", delivery.body().size()));
  for (const Header& header : delivery.headers()) {
    if (header.value.find('\0') != std::string::npos) continue;  // cannot be in an environment
    variables.push_back(VariableOf(header.name) + "=" + header.value);
  }
  return variables;
}

absl::StatusOr<pid_t> Spawn(const std::string& command, const Delivery& delivery, int body_fd) {
  std::vector<std::string> variables = EnvironmentFor(delivery);
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  std::string shell = "sh";
  std::string option = "-c";
  std::string text = command;
  char* arguments[] = {shell.data(), option.data(), text.data(), nullptr};

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_adddup2(&actions, body_fd, STDIN_FILENO);
  // A process group of its own: Ctrl-C is for us, and we decide what becomes of the command. It gets the
  // signals that we ignore or note as they were.
  sigset_t defaults;
  ::sigemptyset(&defaults);
  for (const int signal : {SIGPIPE, SIGINT, SIGTERM}) ::sigaddset(&defaults, signal);
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, "/bin/sh", &actions, &attributes, arguments, environment.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return Failed("cannot run /bin/sh", error);
  return pid;
}

}  // namespace

std::string ChildResult::ToText() const {
  return signal != 0 ? fmt::format("killed by signal {}", signal)
                     : fmt::format("exit status {}", exit_status);
}

absl::StatusOr<ChildResult> ChildCommand::Run(const Delivery& delivery, const std::atomic<bool>& stop) const {
  const OwnedFd body(BodyFile(delivery.body()));
  if (body.get() < 0) return Failed("cannot hold the message for the command", errno);
  const auto pid = Spawn(command_, delivery, body.get());
  if (!pid.ok()) return pid.status();
  const OwnedFd end(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));

  ChildResult result;
  steady_clock::time_point kill_at = steady_clock::time_point::max();
  int status = 0;
  while (true) {
    const pid_t ended = ::waitpid(*pid, &status, WNOHANG);
    if (ended == *pid) break;
    if (ended < 0 && errno != EINTR) return Failed("cannot wait for the command", errno);
    if (stop.load() && !result.stopped_by_us) {
      result.stopped_by_us = true;
      ::kill(-*pid, SIGTERM);
      kill_at = steady_clock::now() + kTermPatience;
    }
    if (steady_clock::now() >= kill_at) ::kill(-*pid, SIGKILL);
    pollfd ends{.fd = end.get(), .events = POLLIN, .revents = 0};
    ::poll(&ends, 1, kPollMillis);
  }
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  if (WIFEXITED(status)) result.exit_status = WEXITSTATUS(status);
  return result;
}

}  // namespace baton::cli

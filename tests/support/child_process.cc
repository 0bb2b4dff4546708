#include "tests/support/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "base/check.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// False: not within the time.
bool WaitReadable(int fd, steady_clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    pollfd readable{fd, POLLIN, 0};
    const int ready = poll(&readable, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
    if (ready > 0) return true;
    if (ready == 0) return false;
    BATON_CHECK_EQ(errno, EINTR);
  }
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& arguments, const std::string& stderr_path) {
  int pipe_fds[2];
  BATON_CHECK_EQ(pipe2(pipe_fds, O_CLOEXEC), 0) << errno;
  posix_spawn_file_actions_t actions;
  BATON_CHECK_EQ(posix_spawn_file_actions_init(&actions), 0);
  BATON_CHECK_EQ(posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO), 0);
  BATON_CHECK_EQ(posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, stderr_path.c_str(),
                                                  O_WRONLY | O_CREAT | O_APPEND, 0600),
                 0);
  // Killed too when the test ends without its destructors.
  std::vector<std::string> command = {"/usr/bin/setpriv", "--pdeathsig", "KILL"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : command) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int error = posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
  BATON_CHECK_EQ(error, 0) << "cannot start " << arguments[0];
  posix_spawn_file_actions_destroy(&actions);
  close(pipe_fds[1]);
  stdout_fd_ = pipe_fds[0];
  pid_fd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));  // glibc 2.36 declares it for C only
  BATON_CHECK(pid_fd_ >= 0) << errno;
}

ChildProcess::~ChildProcess() {
  if (!ended_.has_value()) {
    Signal(SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(pid_fd_);
  close(stdout_fd_);
}

void ChildProcess::Signal(int signal) const {
  if (!ended_.has_value()) kill(pid_, signal);
}

std::optional<std::string> ChildProcess::ReadLine(milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  while (true) {
    const size_t end = unread_.find('\n');
    if (end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    if (!WaitReadable(stdout_fd_, deadline)) return std::nullopt;
    char buffer[4096];
    const ssize_t count = read(stdout_fd_, buffer, sizeof(buffer));
    if (count <= 0) return std::nullopt;
    unread_.append(buffer, static_cast<size_t>(count));
  }
}

std::optional<int> ChildProcess::Wait(milliseconds timeout) {
  if (ended_.has_value() || !WaitReadable(pid_fd_, steady_clock::now() + timeout)) return ended_;
  int status = 0;
  BATON_CHECK_EQ(waitpid(pid_, &status, 0), pid_);
  ended_ = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  return ended_;
}

}  // namespace baton

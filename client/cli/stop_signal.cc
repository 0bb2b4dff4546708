#include "client/cli/stop_signal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/check.h"

namespace baton::cli {
namespace {

// Signal handlers can reach nothing but globals.
volatile std::sig_atomic_t received_signal = 0;
int pipe_ends[2] = {-1, -1};

void Note(int signal) {
  const int saved_errno = errno;
  received_signal = signal;
  const char byte = 0;
  [[maybe_unused]] const ssize_t written = ::write(pipe_ends[1], &byte, 1);
  // A second one means it.
  struct sigaction ending {};
  ending.sa_handler = SIG_DFL;
  ::sigaction(SIGINT, &ending, nullptr);
  ::sigaction(SIGTERM, &ending, nullptr);
  errno = saved_errno;
}

}  // namespace

StopSignal::StopSignal() {
  BATON_CHECK_EQ(::pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK), 0) << errno;
  struct sigaction noting {};
  noting.sa_handler = Note;
  ::sigaction(SIGINT, &noting, nullptr);
  ::sigaction(SIGTERM, &noting, nullptr);
}

StopSignal::~StopSignal() {
  struct sigaction ending {};
  ending.sa_handler = SIG_DFL;
  ::sigaction(SIGINT, &ending, nullptr);
  ::sigaction(SIGTERM, &ending, nullptr);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

int StopSignal::Received() const { return received_signal; }
int StopSignal::fd() const { return pipe_ends[0]; }

}  // namespace baton::cli

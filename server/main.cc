// batond: the broker's process. Wiring only: options, log, broker, signals, exit code.
#include <fcntl.h>
#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "server/broker.h"
#include "server/config/command_line.h"
#include "server/descriptor_limit.h"
#include "server/exit_code.h"
#include "server/log.h"
#include "server/service_manager.h"

namespace baton {
namespace {

// Wakes main: by a signal, or by the store's failure.
class StopRequest {
 public:
  StopRequest() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    // Before any thread is started, so that all of them leave the signals to the descriptor.
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);  // a limit on the size of files: a write that fails, not the end on the spot
    signals_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  }
  ~StopRequest() {
    close(signals_);
    close(event_);
  }
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  // Any thread.
  void StoreFailed() {
    store_failed_ = true;
    const uint64_t one = 1;
    if (write(event_, &one, sizeof(one)) < 0) std::abort();  // a counter of 2^64 - 1 is not full
  }
  void Wait() {
    pollfd ready[2] = {{signals_, POLLIN, 0}, {event_, POLLIN, 0}};
    while (poll(ready, 2, -1) < 0) {
    }
  }
  bool store_failed() const { return store_failed_; }

 private:
  int signals_ = -1;
  int event_ = -1;
  std::atomic<bool> store_failed_{false};
};

// Whoever started us may have left standard input, output or error closed. The next files opened would get
// their numbers: the log would be written into the store, what is printed into a client's connection.
void OpenStandardDescriptors() {
  int descriptor = 0;
  while (descriptor >= 0 && descriptor <= STDERR_FILENO) descriptor = open("/dev/null", O_RDWR);
  if (descriptor < 0) std::abort();  // nothing can be said, and nothing opened
  close(descriptor);
}

// Before the initialisers of libraries, which open descriptors too (gRPC's does).
[[gnu::section(".preinit_array"), gnu::used]] void (*const kBeforeLibraries)() = &OpenStandardDescriptors;

int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return kExitConfigInvalid;
    case absl::StatusCode::kDataLoss:
      return kExitDataUnusable;
    case absl::StatusCode::kAlreadyExists:
      return kExitInUse;
    default:
      return kExitStartFailed;
  }
}

// Not being heard is no reason not to serve; the manager will do what it does when it hears nothing.
void Notify(std::string_view state, Log& log) {
  const absl::Status told = NotifyServiceManager(state);
  if (!told.ok()) log.Warning("service manager not told", {{"error", std::string(told.message())}});
}

int Serve(const CommandLine& command_line) {
  Log log(command_line.config.log_level, command_line.config.log_format);
  for (const std::string& warning : command_line.warnings) log.Warning(warning);
  RaiseDescriptorLimit();
  StopRequest stop;
  auto broker = Broker::Start({.config = command_line.config,
                               .version = BATON_VERSION,
                               .log = &log,
                               .on_store_failure = [&stop](const absl::Status&) { stop.StoreFailed(); }});
  if (!broker.ok()) {
    fmt::print(stderr, "batond: {}\n", std::string(broker.status().message()));
    return ExitCodeOf(broker.status());
  }
  log.Info("serving", {{"version", BATON_VERSION},
                       {"data_dir", command_line.config.data_dir},
                       {"listening", fmt::format("{}", fmt::join((*broker)->listening(), ","))}});
  fmt::print("ready\n");
  std::fflush(stdout);
  Notify("READY=1", log);

  stop.Wait();
  Notify("STOPPING=1", log);
  log.Info("stopping");
  const absl::Status stopped = (*broker)->Stop();
  if (!stopped.ok() || stop.store_failed()) return kExitStoreFailed;
  log.Info("stopped");
  return kExitStopped;
}

}  // namespace
}  // namespace baton

int main(int argc, char** argv) {
  umask(077);  // bodies are for this user alone, whatever the mode of a directory that was there before
  // What went wrong is said by us; and no client can fill the log with frames that do not parse.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  google::protobuf::SetLogHandler(nullptr);
  const auto command_line = baton::ParseCommandLine(argc, argv);
  if (!command_line.ok()) {
    fmt::print(stderr, "batond: {}\n", std::string(command_line.status().message()));
    return baton::kExitConfigInvalid;
  }
  if (!command_line->answer.empty()) {
    for (const std::string& warning : command_line->warnings) {
      fmt::print(stderr, "batond: warning: {}\n", warning);
    }
    fmt::print("{}", command_line->answer);
    return baton::kExitStopped;
  }
  return baton::Serve(*command_line);
}

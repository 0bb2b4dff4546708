#include "bench/relay.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "bench/failure.h"
#include "bench/pace.h"
#include "local/handshake.h"
#include "local/segment.h"

namespace baton::bench {
namespace {

// A ring and the sockets to ring its bells with.
struct Wire {
  Wire() : segment(Segment::Create(kRingBytesDefault).value()) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
      Fail(std::string("no sockets can be made: ") + std::strerror(errno));
    to_reader = Descriptor(pair[0]);
    to_writer = Descriptor(pair[1]);
  }
  Segment segment;
  Descriptor to_reader;  // the writer's end
  Descriptor to_writer;
};

// False: the other side has ended.
bool Sleep(int socket) {
  pollfd waiting{.fd = socket, .events = POLLIN, .revents = 0};
  poll(&waiting, 1, 1'000);
  return TakeBells(socket).has_value();
}

// One process's end of a wire. The other closes itself with its process, whatever that ends of: nobody else
// may have it open.
class Source {
 public:
  explicit Source(Wire& wire) : writer_(wire.segment.ToBroker()), socket_(std::move(wire.to_reader)) {
    wire.to_writer.Reset();
  }
  // Shown to the reader after Publish, or when there is no room. False: the reader has ended.
  [[nodiscard]] bool Write(std::string_view bytes) {
    while (true) {
      bytes.remove_prefix(writer_.Write(bytes));
      if (bytes.empty()) return true;
      Publish();
      if (writer_.WaitForRoom() && !Sleep(socket_.get())) return false;
    }
  }
  void Publish() {
    if (writer_.Publish()) RingBell(socket_.get());
  }

 private:
  RingWriter writer_;
  Descriptor socket_;
};

class Sink {
 public:
  explicit Sink(Wire& wire) : reader_(wire.segment.FromClient()), socket_(std::move(wire.to_writer)) {
    wire.to_reader.Reset();
  }
  // False: the writer has ended, and left less than that.
  [[nodiscard]] bool Read(char* into, size_t bytes) {
    bool writes = true;
    while (true) {
      const size_t count = reader_.Read(into, bytes);
      into += count;
      bytes -= count;
      if (bytes == 0) return true;
      if (!writes && count == 0) return false;
      Release();
      if (reader_.WaitForData()) writes = Sleep(socket_.get());
    }
  }
  void Release() {
    if (reader_.Release()) RingBell(socket_.get());
  }
  bool HasMore() { return reader_.HasData(); }

 private:
  RingReader reader_;
  Descriptor socket_;
};

absl::Status LogError(const char* what, const std::string& path) {
  return absl::InternalError(fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
}

// Written with zeros before, so that a sync has nothing but the bytes themselves to make durable. Without a
// name: two benchmarks do not meet in it, and it is gone with its processes.
class SyncedLog {
 public:
  static absl::StatusOr<SyncedLog> Create(const std::string& directory, uint64_t bytes) {
    std::string path = directory + "/baton-bench-relay-XXXXXX";
    Descriptor file(mkostemp(path.data(), O_CLOEXEC));
    if (!file) return LogError("make a file in", directory);
    SyncedLog log(std::move(file), path);
    if (unlink(path.c_str()) != 0) return LogError("remove", path);
    const std::string zeros(1u << 20, '\0');
    for (uint64_t at = 0; at < bytes; at += zeros.size())
      if (absl::Status written = log.Write(zeros, at); !written.ok()) return written;
    if (fsync(log.file_.get()) != 0) return LogError("sync", path);
    return log;
  }

  absl::Status Append(std::string_view bytes) {
    if (absl::Status written = Write(bytes, end_); !written.ok()) return written;
    end_ += bytes.size();
    return fdatasync(file_.get()) == 0 ? absl::OkStatus() : LogError("sync", path_);
  }

 private:
  SyncedLog(Descriptor file, std::string path) : path_(std::move(path)), file_(std::move(file)) {}

  absl::Status Write(std::string_view bytes, uint64_t at) {
    while (!bytes.empty()) {  // of what nearly fills a disk a part is written
      const ssize_t count = pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
      if (count < 0) return LogError("write", path_);
      bytes.remove_prefix(static_cast<size_t>(count));
      at += static_cast<uint64_t>(count);
    }
    return absl::OkStatus();
  }

  std::string path_;
  Descriptor file_;
  uint64_t end_ = 0;
};

absl::Status EndedEarly() { return absl::AbortedError("one of its processes ended before its last message"); }

// A process that does `work`, and says what went wrong; that others have ended is for them to say.
template <class Work>
pid_t Fork(Work work) {
  const pid_t child = fork();
  if (child < 0) Fail(std::string("no process can be started: ") + std::strerror(errno));
  if (child != 0) return child;
  const absl::Status done = work();
  if (!done.ok() && !absl::IsAborted(done)) std::fprintf(stderr, "%s\n", std::string(done.message()).c_str());
  _exit(done.ok() ? 0 : 1);
}

// False: it has failed.
bool Join(pid_t child) {
  int status = 0;
  return waitpid(child, &status, 0) == child && status == 0;
}

absl::Status PassOn(const RelayOptions& options, std::optional<SyncedLog> log, Sink in, Source out) {
  std::string bodies;
  for (uint64_t passed = 0; passed < options.messages; passed += bodies.size() / options.body_bytes) {
    bodies.clear();
    do {
      bodies.resize(bodies.size() + options.body_bytes);
      if (!in.Read(&bodies[bodies.size() - options.body_bytes], options.body_bytes)) return EndedEarly();
    } while (log.has_value() && in.HasMore());
    in.Release();
    if (log.has_value())
      if (absl::Status appended = log->Append(bodies); !appended.ok()) return appended;
    if (!out.Write(bodies)) return EndedEarly();
    out.Publish();
  }
  return absl::OkStatus();
}

absl::Status SendPaced(const RelayOptions& options, Source out) {
  std::string body(options.body_bytes, 'x');
  const Pace pace(options.rate);
  for (uint64_t i = 0; i < options.messages; ++i) {
    const int64_t intended = pace.IntendedNanos(i);
    Pace::WaitUntil(intended);
    std::memcpy(body.data(), &intended, sizeof(intended));
    if (!out.Write(body)) return EndedEarly();
    out.Publish();
  }
  return absl::OkStatus();
}

// The time each message took; of fewer than there should be when the relay has ended.
std::vector<double> Collect(const RelayOptions& options, Sink in) {
  std::string body(options.body_bytes, '\0');
  std::vector<double> micros;
  micros.reserve(options.messages);
  while (micros.size() < options.messages && in.Read(body.data(), body.size())) {
    in.Release();
    int64_t intended = 0;
    std::memcpy(&intended, body.data(), sizeof(intended));
    micros.push_back(static_cast<double>(NowNanos() - intended) / 1'000);
  }
  return micros;
}

}  // namespace

absl::StatusOr<std::vector<double>> RunRelay(const RelayOptions& options) {
  std::optional<SyncedLog> log;
  if (!options.log_directory.empty()) {
    auto created = SyncedLog::Create(options.log_directory, options.messages * options.body_bytes);
    if (!created.ok()) return created.status();
    log = *std::move(created);
  }
  Wire first;
  Wire second;
  const pid_t relay = Fork([&] { return PassOn(options, std::move(log), Sink(first), Source(second)); });
  second.to_reader.Reset();
  first.to_writer.Reset();
  const pid_t source = Fork([&] {
    second.to_writer.Reset();
    return SendPaced(options, Source(first));
  });
  first.to_reader.Reset();
  std::vector<double> micros = Collect(options, Sink(second));
  if (micros.size() < options.messages) kill(source, SIGKILL);  // it would go on at its pace
  const bool source_did = Join(source);
  const bool relay_did = Join(relay);
  if (!source_did || !relay_did || micros.size() < options.messages) return EndedEarly();
  return micros;
}

absl::StatusOr<double> RawRingRate(uint64_t messages, uint64_t body_bytes) {
  Wire wire;
  const pid_t source = Fork([&] {
    Source out(wire);
    const std::string body(body_bytes, 'x');
    for (uint64_t i = 0; i < messages; ++i) {
      if (!out.Write(body)) return EndedEarly();
      if (i % 16 == 15) out.Publish();
    }
    out.Publish();
    return absl::OkStatus();
  });
  Sink in(wire);
  std::string body(body_bytes, '\0');
  bool comes = in.Read(body.data(), body.size());
  const int64_t start = NowNanos();
  for (uint64_t i = 1; comes && i < messages; ++i) {
    comes = in.Read(body.data(), body.size());
    if (i % 16 == 0) in.Release();
  }
  const double seconds = static_cast<double>(NowNanos() - start) / 1e9;
  in.Release();
  if (!Join(source) || !comes) return EndedEarly();
  return static_cast<double>(messages) / seconds;
}

}  // namespace baton::bench

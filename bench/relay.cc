#include "bench/relay.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "bench/pace.h"
#include "local/handshake.h"
#include "local/segment.h"

namespace baton::bench {
namespace {

// A ring and the sockets to ring its bells with.
struct Wire {
  Wire() : segment(Segment::Create(kRingBytesDefault).value()) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) std::abort();
    to_reader = Descriptor(pair[0]);
    to_writer = Descriptor(pair[1]);
  }
  Segment segment;
  Descriptor to_reader;  // the writer's end
  Descriptor to_writer;
};

void Sleep(int socket) {
  pollfd waiting{.fd = socket, .events = POLLIN, .revents = 0};
  poll(&waiting, 1, 1'000);
  std::ignore = TakeBells(socket);
}

class Source {
 public:
  explicit Source(Wire& wire) : writer_(wire.segment.ToBroker()), socket_(wire.to_reader.get()) {}
  // Shown to the reader after Publish, or when there is no room.
  void Write(std::string_view bytes) {
    while (!bytes.empty()) {
      bytes.remove_prefix(writer_.Write(bytes));
      if (bytes.empty()) break;
      Publish();
      if (writer_.WaitForRoom()) Sleep(socket_);
    }
  }
  void Publish() {
    if (writer_.Publish()) RingBell(socket_);
  }

 private:
  RingWriter writer_;
  int socket_;
};

class Sink {
 public:
  explicit Sink(Wire& wire) : reader_(wire.segment.FromClient()), socket_(wire.to_writer.get()) {}
  void Read(char* into, size_t bytes) {
    while (bytes > 0) {
      const size_t count = reader_.Read(into, bytes);
      into += count;
      bytes -= count;
      if (bytes == 0) break;
      Release();
      if (reader_.WaitForData()) Sleep(socket_);
    }
  }
  void Release() {
    if (reader_.Release()) RingBell(socket_);
  }
  bool HasMore() { return reader_.HasData(); }

 private:
  RingReader reader_;
  int socket_;
};

// Written with zeros before, so that a sync has nothing but the bytes themselves to make durable.
class SyncedLog {
 public:
  SyncedLog(const std::string& path, uint64_t bytes)
      : path_(path), file_(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
    const std::string zeros(1u << 20, '\0');
    for (uint64_t at = 0; at < bytes; at += zeros.size()) Write(zeros, at);
    if (fsync(file_.get()) != 0) std::abort();
  }
  ~SyncedLog() { unlink(path_.c_str()); }
  SyncedLog(const SyncedLog&) = delete;
  SyncedLog& operator=(const SyncedLog&) = delete;

  void Append(const std::string& bytes) {
    Write(bytes, end_);
    end_ += bytes.size();
    if (fdatasync(file_.get()) != 0) std::abort();
  }

 private:
  void Write(const std::string& bytes, uint64_t at) {
    const ssize_t count = pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (count != static_cast<ssize_t>(bytes.size())) std::abort();
  }

  const std::string path_;
  const Descriptor file_;
  uint64_t end_ = 0;
};

template <class Work>
pid_t Fork(Work work) {
  const pid_t child = fork();
  if (child != 0) return child;
  work();
  _exit(0);
}

void WaitFor(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) std::fprintf(stderr, "a relay's process failed\n");
}

}  // namespace

std::vector<double> RunRelay(const RelayOptions& options) {
  Wire first;
  Wire second;
  std::optional<SyncedLog> log;
  if (!options.log.empty()) log.emplace(options.log, options.messages * options.body_bytes);
  const pid_t relay = Fork([&] {
    Sink in(first);
    Source out(second);
    std::string bodies;
    for (uint64_t passed = 0; passed < options.messages; passed += bodies.size() / options.body_bytes) {
      bodies.clear();
      do {
        bodies.resize(bodies.size() + options.body_bytes);
        in.Read(&bodies[bodies.size() - options.body_bytes], options.body_bytes);
      } while (log.has_value() && in.HasMore());
      in.Release();
      if (log.has_value()) log->Append(bodies);
      out.Write(bodies);
      out.Publish();
    }
  });
  const pid_t source = Fork([&] {
    Source out(first);
    std::string body(options.body_bytes, 'x');
    const Pace pace(options.rate);
    for (uint64_t i = 0; i < options.messages; ++i) {
      const int64_t intended = pace.IntendedNanos(i);
      Pace::WaitUntil(intended);
      std::memcpy(body.data(), &intended, sizeof(intended));
      out.Write(body);
      out.Publish();
    }
  });
  Sink in(second);
  std::string body(options.body_bytes, '\0');
  std::vector<double> micros;
  micros.reserve(options.messages);
  for (uint64_t i = 0; i < options.messages; ++i) {
    in.Read(body.data(), body.size());
    in.Release();
    int64_t intended = 0;
    std::memcpy(&intended, body.data(), sizeof(intended));
    micros.push_back(static_cast<double>(NowNanos() - intended) / 1'000);
  }
  WaitFor(source);
  WaitFor(relay);
  return micros;
}

double RawRingRate(uint64_t messages, uint64_t body_bytes) {
  Wire wire;
  const pid_t source = Fork([&] {
    Source out(wire);
    const std::string body(body_bytes, 'x');
    for (uint64_t i = 0; i < messages; ++i) {
      out.Write(body);
      if (i % 16 == 15) out.Publish();
    }
    out.Publish();
  });
  Sink in(wire);
  std::string body(body_bytes, '\0');
  in.Read(body.data(), body.size());
  const int64_t start = NowNanos();
  for (uint64_t i = 1; i < messages; ++i) {
    in.Read(body.data(), body.size());
    if (i % 16 == 0) in.Release();
  }
  const double seconds = static_cast<double>(NowNanos() - start) / 1e9;
  in.Release();
  WaitFor(source);
  return static_cast<double>(messages) / seconds;
}

}  // namespace baton::bench

// Acceptor takes connections in, at all of its doors, on a thread of its own, and hands each over once its
// client has said the first words of its protocol. So it is ours to decide who comes in: gRPC's own listener
// closes its door for good when the system has no descriptor left once (CVE-2023-4785).
//
// Each door has its share of the descriptors, each peer one of the door's (connection_shares.h), the silent
// theirs (guests.h). Without descriptors accepting rests for a moment, and goes on as soon as some are free.
//
// THREADS: Start and Stop from one thread; Drop from any. `welcome` and `on_incident` run on the acceptor's.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"
#include "local/descriptor.h"
#include "server/listen/connection_shares.h"
#include "server/listen/guests.h"
#include "server/listen/handed_over.h"

namespace baton {

class Acceptor {
 public:
  enum class Greeting { kHttp2, kTls };  // what a client says first
  struct Door {
    std::vector<Descriptor> sockets;  // that listen
    Greeting greeting = Greeting::kHttp2;
    size_t connections_max = 0;
    // Whoever serves it closes it. Gives what `judge` knows it by; 0: nothing.
    std::function<intptr_t(int socket)> welcome;
  };
  struct Incident {
    std::string_view event;
    std::string_view peer;
    std::string_view done;
  };
  struct Options {
    size_t descriptors_max = SIZE_MAX;  // of the process; no connection may have a larger one, or this
    std::function<void(const Incident&)> on_incident;
    // Of a connection that was handed over and is busy: the event, when it must end; "" when not. Null: they
    // are left alone.
    std::function<std::string_view(const HandedOver::Connection&)> judge;
  };
  static constexpr std::chrono::seconds kHelloMax{10};

  Acceptor(Options options, std::vector<Door> doors);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;
  ~Acceptor();

  void Start();
  // Nobody is welcomed any more; those that were stay. BLOCKS until the thread has ended. Idempotent.
  void Stop();
  // Ends the connections of the peer with this text, soon.
  void Drop(std::string_view peer) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  enum class Heard { kNothing, kHello, kEnd, kNonsense };

  void Run();
  int Timeout() const;
  void Listen(bool listens);
  void Accept(size_t door, int listening);
  void Admit(Guest guest);
  bool IsBeyond(const Guest& guest) const;
  bool HasRoomFor(const Guest& guest) const;
  Guests::Which WhoMakesRoomFor(const Guest& guest) const;
  bool MakeRoomFor(const Guest& guest);
  std::string_view WhyNoRoomFor(const Guest& guest) const;
  void Hear(int socket);
  static Heard Peek(const Guest& guest, Greeting greeting);
  void SendAway(const Guest& guest, std::string_view event, std::string_view done);
  void DropAsAsked() ABSL_LOCKS_EXCLUDED(mutex_);
  void Watch(std::chrono::steady_clock::time_point now);
  std::chrono::steady_clock::time_point NextWatch() const;

  const Options options_;
  const std::vector<Door> doors_;
  Descriptor epoll_;
  Descriptor wake_;

  // The thread's.
  std::vector<ConnectionShares> shares_;  // by door
  Guests guests_;
  HandedOver handed_over_;
  std::chrono::steady_clock::time_point resume_{};  // accepting, after the system had no descriptors left
  std::chrono::steady_clock::time_point swept_{};
  std::chrono::steady_clock::time_point watched_{};
  bool listens_ = true;

  Mutex mutex_;
  std::vector<std::string> to_drop_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace baton

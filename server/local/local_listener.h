// LocalListener welcomes clients on baton.sock: checks who they are, makes their memory, passes it, and hands
// the session over. On a thread of its own, so that mapping memory and slow clients hold nobody up.
// THREADS: Start and Stop from one thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "local/descriptor.h"
#include "local/handshake.h"
#include "server/listen/guests.h"
#include "server/local/local_sessions.h"
#include "server/session/broker_facts.h"

namespace baton {

class LocalListener {
 public:
  struct Options {
    std::string socket_path;
    size_t ring_bytes = kRingBytesDefault;
    size_t descriptors_max = SIZE_MAX;  // of the process; a client whose socket is beyond is refused
  };

  // Binds; nobody is welcomed before Serve. `sessions` outlives the listener. The facts' `listening` is
  // filled in. ERRORS: ALREADY_EXISTS for a path in use, FAILED_PRECONDITION for one that cannot be had.
  static absl::StatusOr<std::unique_ptr<LocalListener>> Start(const Options& options, BrokerFacts* facts,
                                                              LocalSessions* sessions);
  LocalListener(const LocalListener&) = delete;
  LocalListener& operator=(const LocalListener&) = delete;
  ~LocalListener();

  void Serve();
  // Nobody is welcomed any more; the socket's file goes. BLOCKS until the thread has ended. Idempotent.
  void Stop();

 private:
  LocalListener(const Options& options, BrokerFacts* facts, LocalSessions* sessions, Descriptor socket,
                Descriptor wake);

  void Run();
  int Timeout() const;
  void Accept();
  bool IsBeyond(const Descriptor& socket) const;
  size_t RingBytes() const;
  void Hear(int socket);
  void Welcome(Guest guest);
  absl::Status MayEnter(const Guest& guest);
  absl::Status Admit(Guest& guest);
  void Tell(std::string_view event, const Guest& guest, std::string_view done);

  const Options options_;
  BrokerFacts* const facts_;
  LocalSessions* const sessions_;
  Descriptor socket_;
  Descriptor wake_;
  Guests guests_;                                   // those that have not said all of their hello
  std::chrono::steady_clock::time_point resume_{};  // accepting, after the system had no descriptors left
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace baton

// GrpcServer listens: on grpc.sock in the runtime directory, and on a TCP port when asked.
// THREADS: Start, StopAccepting, Shutdown from one thread; EndAll from any. BLOCKS in Start and Shutdown.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config/tls_files.h"
#include "server/loop/engine_thread.h"
#include "server/session/broker_facts.h"

namespace baton {

class GrpcServer {
 public:
  struct Options {
    std::string socket_path;  // "" = none
    std::string tcp_address;  // HOST:PORT; "" = none
    TlsPaths tls;             // for tcp_address
    // Descriptors: one address's connections, and those of the process (server/listen/acceptor.h).
    size_t connections_max = SIZE_MAX;
    size_t descriptors_max = SIZE_MAX;
  };

  // Binds. The facts' `listening` is filled in; nothing is served before Serve.
  // ERRORS: ALREADY_EXISTS for an address in use, FAILED_PRECONDITION for one that cannot be had,
  // INVALID_ARGUMENT for TLS files that are none.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(Options options, BrokerFacts* facts);

  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;
  ~GrpcServer();

  // Rung when a full inbox has room again.
  std::vector<Bell*> bells();
  // The engine's thread runs: calls may come.
  void Serve();

  // No new sessions and calls; no further frames are read. Returns when that is so.
  void StopAccepting();
  // Every session and call is told why it ends.
  void EndAll(const absl::Status& why);
  // Waits up to `grace` for what is under way, then cuts it off. REQUIRES: the engine's thread has ended, or
  // never ran.
  void Shutdown(std::chrono::milliseconds grace);

  int tcp_port() const;  // as bound; 0 = none

 private:
  struct Parts;
  explicit GrpcServer(std::unique_ptr<Parts> parts);
  const std::unique_ptr<Parts> parts_;
};

}  // namespace baton

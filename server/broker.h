// Broker is a running broker: store, engine, its thread, and the transports, wired together and taken down in
// reverse. THREADS: Start and Stop from one thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config/config.h"
#include "server/grpc/grpc_server.h"
#include "server/log.h"

namespace baton {

class Broker {
 public:
  struct Options {
    Config config;  // with data_dir and runtime_dir filled in; runtime_dir "" = no local socket (tests)
    std::string version;
    Log* log = nullptr;
    // The store has failed: nothing can be confirmed any more, Stop the broker and exit. Once, on the
    // engine's thread.
    std::function<void(const absl::Status&)> on_store_failure;
  };

  // BLOCKS: recovers the store, loads the queues, listens.
  static absl::StatusOr<std::unique_ptr<Broker>> Start(Options options);

  // Takes nothing new, finishes and confirms what was taken, tells the clients, syncs. Leases are kept: their
  // tokens are good after the next start. BLOCKS. ERRORS: the store's failure, also of this last sync: what
  // was not confirmed as synced was perhaps not stored. Again: the same answer.
  absl::Status Stop();

  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;
  ~Broker();

  GrpcServer* grpc() const;
  const std::vector<std::string>& listening() const;

 private:
  struct Parts;
  explicit Broker(std::unique_ptr<Parts> parts);
  const std::unique_ptr<Parts> parts_;
};

}  // namespace baton

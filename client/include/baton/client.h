// A connection to a Baton broker.
//
//   auto client = baton::Client::Connect();                      // BATON_URL, or the local broker
//   if (!client.ok()) return client.status();
//   auto producer = client->NewProducer();
//   auto answer = producer->Publish("orders", {.body = "hello"}).get();
//   auto consumer = client->Subscribe({.queue = "orders"}, [](baton::Delivery& delivery) {
//     Use(delivery.body());
//     return baton::Outcome::Ack();
//   });
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "baton/admin.h"
#include "baton/consumer.h"
#include "baton/message.h"
#include "baton/producer.h"

namespace baton {

namespace client {
class ClientCore;
}

inline namespace client_api {

// For grpcs:// addresses. Empty: the system's certificate authorities, no client certificate.
struct TlsOptions {
  std::string ca_file = {};           // PEM: who may have signed the broker's certificate
  std::string certificate_file = {};  // PEM: this client's, with key_file
  std::string key_file = {};
  std::string server_name = {};  // expected in the certificate, when it is not the address's host
};

enum class ConnectionState : uint8_t { kConnected, kLost };

struct ClientOptions {
  // unix:PATH (rings), grpc+unix:PATH, grpc://HOST:PORT or grpcs://HOST:PORT. Empty: the environment variable
  // BATON_URL, else the socket of this user's broker (baton.sock in $XDG_RUNTIME_DIR/baton, /run/baton for
  // root, else /tmp/baton-<uid>).
  std::string url = {};
  std::string name =
      {};  // for people: in `baton status` and the broker's log; empty = the program's name and process id
  // How long Connect goes on trying when no broker answers; 0 = one attempt.
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(5);
  // Limit of one administrative or unary call (a Receive waits `wait` longer).
  std::chrono::milliseconds call_timeout = std::chrono::seconds(30);
  // What Close, and the destructor, give unconfirmed publishes and settlements.
  std::chrono::milliseconds close_timeout = std::chrono::seconds(5);
  // Longest pause between attempts to reconnect. The first attempt comes at once.
  std::chrono::milliseconds reconnect_pause_max = std::chrono::seconds(2);
  TlsOptions tls = {};
  // The session was established or lost (with the reason; the client reconnects by itself). Runs on the
  // client's own thread: must be quick and must not wait for anything of this client.
  std::function<void(ConnectionState, const absl::Status&)> on_connection = {};
};

// The unary Receive: for loops that want no subscription. Its leases end by time, ack or nack only.
struct ReceiveOptions {
  std::string queue;
  uint32_t messages_max = 1;           // at most 4,096
  std::chrono::milliseconds wait{0};   // for the first message; at most 5 minutes
  std::chrono::milliseconds lease{0};  // 0 = the queue's default
  uint64_t bytes_max = 0;              // 0 = 4 MiB; the first message comes even when it is larger
};
struct ReceivedMessage {
  std::string message_id;
  std::string token;  // for Ack, Nack, Release, Extend
  std::string body;
  Headers headers;
  uint32_t priority = 0;
  uint32_t attempt = 0;
  bool redelivered = false;
  UnixTime published{};
  UnixTime lease_end{};
  uint64_t producer_id = 0;
  uint64_t sequence = 0;
};

// OWNERSHIP: producers and consumers keep what they need of the client, and fail with FAILED_PRECONDITION
// once it is closed. THREADS: any; on_connection, publish and settle callbacks share one thread of the
// client's own. ERRORS: UNAVAILABLE when no broker answers, UNAUTHENTICATED …; ReasonOf(status) is the stable
// word. After fork() the child has no connection: every call is FAILED_PRECONDITION there (CLIENT_FORKED),
// and destructors do nothing; the parent goes on. Where gRPC was in use before the fork,
// which it does not survive, a client made in the child has no unary calls, and needs an address of rings.
class Client {
 public:
  // Checks that a broker answers. BLOCKS up to connect_timeout (at least one attempt).
  static absl::StatusOr<Client> Connect(ClientOptions options = {});

  ~Client();  // Close()
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  // Waits up to close_timeout until everything published is answered and consumers have stopped, for which
  // the broker must answer and running handlers must return; not at all when there is nothing of that. Then
  // it ends the session in a tenth of a second, whether it is connecting, in a handshake, between attempts,
  // or connected to a broker that does not answer any more; only callbacks that are running are waited for.
  // DEADLINE_EXCEEDED: something was left unanswered (its callbacks have run with an error).
  // Idempotent. BLOCKS.
  absl::Status Close();

  // The address in use, for messages to people.
  const std::string& url() const;

  // What the client is doing and waiting for, for people who look for the reason of a standstill: the
  // connection, unconfirmed publishes, unanswered settlements, consumers. Lines of text that may change with
  // any version.
  std::string Describe() const;

  // Both open the client's session when it is not open yet. BLOCK up to call_timeout.
  absl::StatusOr<Producer> NewProducer(ProducerOptions options = {});
  // With a handler: starts its threads. Without: use Consumer::Receive. NOT_FOUND: no such queue.
  absl::StatusOr<Consumer> Subscribe(ConsumerOptions options, Handler handler = nullptr);

  // Queues. BLOCK up to call_timeout, as everything below.
  absl::StatusOr<QueueInfo> CreateQueue(std::string_view name, const QueueConfig& config = {});
  absl::StatusOr<QueueInfo> UpdateQueue(std::string_view name, const QueueConfig& config);
  absl::StatusOr<QueueInfo> GetQueue(std::string_view name);
  absl::StatusOr<std::vector<QueueInfo>> ListQueues(std::string_view prefix = {});
  enum class DeleteMode { kOnlyIfEmpty, kWithMessages };
  absl::StatusOr<uint64_t> DeleteQueue(std::string_view name, DeleteMode mode);  // messages deleted with it
  absl::StatusOr<uint64_t> PurgeQueue(std::string_view name);                    // messages purged
  // A paused queue takes publishes and delivers nothing.
  absl::StatusOr<QueueInfo> PauseQueue(std::string_view name);
  absl::StatusOr<QueueInfo> ResumeQueue(std::string_view name);
  // From now on what cannot be read, because the disk is damaged, is left out and counted as lost, instead of
  // delivery standing still there.
  absl::StatusOr<QueueInfo> SkipDamage(std::string_view name);

  // Single messages. Listing leases nothing and changes nothing.
  absl::StatusOr<MessagePage> ListMessages(const ListMessagesOptions& options);
  absl::StatusOr<MessageInfo> GetMessage(std::string_view message_id);
  absl::Status DeleteMessage(std::string_view message_id);

  absl::StatusOr<BrokerStatus> Status();

  // Unary calls, for programs that publish or take a message now and then. One answer per message or token,
  // in order. When the connection ends before the answer, a Publish of up to 1,024 messages is repeated and
  // stored once (what the first call stored is a `duplicate`, without its id); Extend and what only reads
  // are repeated, too. Anything else, and a second failure, is ANSWER_LOST: it may or may not have been
  // carried out.
  absl::StatusOr<std::vector<absl::StatusOr<Confirmation>>> Publish(std::string_view queue,
                                                                    std::span<const Message> messages);
  absl::StatusOr<std::vector<ReceivedMessage>> Receive(const ReceiveOptions& options);
  absl::StatusOr<std::vector<absl::Status>> Ack(std::span<const std::string> tokens);
  absl::StatusOr<std::vector<absl::Status>> Nack(std::span<const std::string> tokens,
                                                 const NackOptions& options = {});
  absl::StatusOr<std::vector<absl::Status>> Release(std::span<const std::string> tokens);
  absl::StatusOr<std::vector<absl::Status>> DeadLetter(std::span<const std::string> tokens,
                                                       std::string_view reason);
  absl::StatusOr<std::vector<absl::Status>> Extend(std::span<const std::string> tokens,
                                                   std::chrono::milliseconds lease);

 private:
  explicit Client(std::shared_ptr<client::ClientCore> core);

  std::shared_ptr<client::ClientCore> core_;
};

}  // namespace client_api
}  // namespace baton

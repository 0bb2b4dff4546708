// A broker that does only what a test tells it to: speaks the real protocol over a real socket, and stores
// nothing.
//
//   ScriptedBroker broker;
//   auto client = Client::Connect({.url = broker.url()});
//   ... client->NewProducer() in a thread of its own, or after broker.AcceptSessions() ...
//   auto session = broker.AwaitSession();
//   const Published first = session->NextPublish();
//   session->Confirm(first.sequence, first.sequence);
//
// Waiting for something that never comes ends the test process after kPatience, with a message.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "baton/v1/admin.grpc.pb.h"
#include "baton/v1/broker.grpc.pb.h"
#include "tests/support/temporary_directory.h"

namespace baton {

inline constexpr std::chrono::seconds kPatience{20};

// One message of a PublishBatch, out of its columns.
struct Published {
  std::string queue;
  uint64_t sequence = 0;
  std::string body;
  uint32_t priority = 0;
  uint64_t ttl_ms = 0;
  uint64_t delay_ms = 0;
  std::string headers;
  bool want_id = false;
};

// One tag of a Settle.
struct Settled {
  uint64_t settlement = 0;
  v1::Settle::Kind kind = v1::Settle::KIND_UNSPECIFIED;
  uint64_t tag = 0;
  v1::Settle how;  // without tags
};

// The broker's end of one session. THREADS: any.
class ScriptedSession {
 public:
  using Stream = grpc::ServerReaderWriter<v1::ServerFrame, v1::ClientFrame>;

  ScriptedSession(Stream* stream, grpc::ServerContext* context) : stream_(stream), context_(context) {}

  // What came, in order of its kind. Each waits for it.
  v1::Hello NextHello();
  Published NextPublish();
  Settled NextSettled();
  v1::Subscribe NextSubscribe();
  uint64_t NextUnsubscribe();
  void AwaitGoodbye();
  void AwaitEnd();  // the client has gone, or the stream was ended
  size_t frames_with_publishes();
  size_t publishes_waiting();

  // What to send. False: the client is gone.
  bool Send(const v1::ServerFrame& frame);
  void ReplyHello(uint32_t epoch = 1, uint32_t credit_messages = 4096, uint64_t credit_bytes = 8u << 20);
  void Confirm(uint64_t first, uint64_t last);
  void ReplySubscribed(uint64_t subscription, uint64_t lease_ms = 30'000);
  // Delivers `bodies` with the tags first_tag, first_tag + 1 …, delivery numbers 100 + tag and the ids of
  // TestId(tag).
  void Deliver(uint64_t subscription, uint64_t first_tag, const std::vector<std::string>& bodies);
  void ReplySettled(uint64_t through);
  void ReplySettledFromNowOn();  // at once, to those that came before too
  void ReplyEnded(uint64_t subscription);
  // Ends the stream; a status other than CANCELLED reaches the client only by a go-away before it.
  void End(grpc::Status status = grpc::Status::OK);

 private:
  friend class ScriptedBroker;

  grpc::Status Serve();  // on the server's thread for this stream
  void Take(const v1::ClientFrame& frame);
  void ReplySettledIfWanted();
  template <class T>
  T Next(std::deque<T>& from, const char* what);

  Stream* const stream_;
  grpc::ServerContext* const context_;

  std::mutex write_mutex_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<v1::Hello> hellos_;
  std::deque<Published> publishes_;
  std::deque<Settled> settles_;
  std::deque<v1::Subscribe> subscribes_;
  std::deque<uint64_t> unsubscribes_;
  uint64_t last_settlement_ = 0;
  bool reply_settled_ = false;
  size_t frames_with_publishes_ = 0;
  std::atomic<bool> goodbye_{false};
  bool reading_ = true;
  bool ended_ = false;
  grpc::Status end_status_;
};

std::string TestId(uint64_t tag);  // 24 bytes

class ScriptedBroker : public v1::Broker::Service, public v1::Admin::Service {
 public:
  ScriptedBroker();
  ~ScriptedBroker() override;

  std::string url() const { return "grpc+unix:" + socket_path_; }

  // From now on sessions get a usual answer to their hello by themselves, or wait for the test to give it.
  void AnswerHellos(bool answer);
  // The next session that was opened.
  std::shared_ptr<ScriptedSession> AwaitSession();

  // Unary calls; unset = UNIMPLEMENTED.
  std::function<grpc::Status(const v1::AckRequest&, v1::SettleResponse*)> on_ack;
  std::function<grpc::Status(const v1::NackRequest&, v1::SettleResponse*)> on_nack;
  std::function<grpc::Status(const v1::PublishRequest&, v1::PublishResponse*)> on_publish;
  std::function<grpc::Status(const v1::ReceiveRequest&, v1::ReceiveResponse*)> on_receive;
  std::function<grpc::Status(const v1::GetQueueRequest&, v1::Queue*)> on_get_queue;

  // No longer there, without a word; and there again, at the same address.
  void Kill();
  void Start();

 private:
  grpc::Status Session(grpc::ServerContext* context, ScriptedSession::Stream* stream) override;
  grpc::Status Ack(grpc::ServerContext*, const v1::AckRequest* request,
                   v1::SettleResponse* response) override;
  grpc::Status Nack(grpc::ServerContext*, const v1::NackRequest* request,
                    v1::SettleResponse* response) override;
  grpc::Status Publish(grpc::ServerContext*, const v1::PublishRequest* request,
                       v1::PublishResponse* response) override;
  grpc::Status Receive(grpc::ServerContext*, const v1::ReceiveRequest* request,
                       v1::ReceiveResponse* response) override;
  grpc::Status GetQueue(grpc::ServerContext*, const v1::GetQueueRequest* request,
                        v1::Queue* response) override;
  grpc::Status GetStatus(grpc::ServerContext*, const v1::GetStatusRequest*,
                         v1::BrokerStatus* response) override;

  TemporaryDirectory directory_;
  std::string socket_path_;
  std::unique_ptr<grpc::Server> server_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<ScriptedSession>> opened_;
  std::vector<std::weak_ptr<ScriptedSession>> live_;
  bool answer_hellos_ = true;
};

}  // namespace baton

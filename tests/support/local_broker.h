// A real broker in this process, and clients that speak its protocol frame by frame.
//
//   LocalBroker broker;
//   broker.CreateQueue("orders");
//   RawSession session(broker);
//   session.Publish("orders", 1, {"a", "b"});
//   session.AwaitConfirmed(2);
//
// What never comes ends in a failed test: every call has a deadline.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "baton/v1/admin.grpc.pb.h"
#include "baton/v1/broker.grpc.pb.h"
#include "server/broker.h"
#include "tests/support/raw_stream.h"
#include "tests/support/temporary_directory.h"

namespace baton {

class LocalBroker {
 public:
  LocalBroker() : LocalBroker(Config()) {}
  // data_dir, runtime_dir and memory_queue_dir are the fixture's. `carrier`: of the sessions.
  explicit LocalBroker(Config config, CarrierKind carrier = CarrierKind::kGrpcUnix);
  ~LocalBroker();

  // Stops it as SIGTERM does, and starts it again on the same data.
  void Restart();
  void Stop() { broker_.reset(); }

  std::unique_ptr<RawStream> OpenStream();
  // A gRPC connection of its own.
  std::shared_ptr<grpc::Channel> OpenChannel();
  v1::Broker::Stub& broker() { return *broker_stub_; }
  v1::Admin::Stub& admin() { return *admin_stub_; }
  const std::string& runtime_dir() const { return config_.runtime_dir; }

  void CreateQueue(const std::string& name, const v1::QueueConfig& config = {});
  v1::Queue GetQueue(const std::string& name);
  void SetPaused(const std::string& name, bool paused);
  void PurgeQueue(const std::string& name);
  std::vector<v1::PublishResult> Publish(const std::string& queue, const std::vector<std::string>& bodies);
  std::vector<v1::ReceivedMessage> Receive(const std::string& queue, uint32_t messages_max,
                                           std::chrono::milliseconds wait = {});

 private:
  void Start();

  TemporaryDirectory directory_;
  const TemporaryDirectory shared_{TemporaryDirectory::InMemory()};  // of memory queues
  Config config_;
  const CarrierKind carrier_;
  Log log_{LogLevel::kError, LogFormat::kText};
  std::unique_ptr<Broker> broker_;
  int channels_ = 0;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Broker::Stub> broker_stub_;
  std::unique_ptr<v1::Admin::Stub> admin_stub_;
};

// A context with a deadline that a test never meets.
std::unique_ptr<grpc::ClientContext> PatientContext();

// The reason in a status's google.rpc.ErrorInfo; "" when there is none.
std::string ReasonOfRpc(const grpc::Status& status);

struct RawDelivery {
  uint64_t subscription = 0;
  uint64_t tag = 0;
  std::string body;
  std::string headers;
  uint32_t priority = 0;
  uint32_t attempt = 1;
  bool redelivered = false;
  uint64_t number = 0;
  std::string id;
  uint64_t producer_id = 0;
  uint64_t sequence = 0;
};

class RawSession {
 public:
  struct NoHello {};

  explicit RawSession(LocalBroker& broker, uint64_t producer_id = 0);
  RawSession(LocalBroker& broker, NoHello);

  const v1::HelloReply& hello() const { return hello_; }

  void Send(const v1::ClientFrame& frame) { stream_->Write(frame); }
  void Publish(const std::string& queue, uint64_t first_sequence, const std::vector<std::string>& bodies);
  void Subscribe(uint64_t subscription, const std::string& queue, uint32_t credit = 100);
  void Subscribe(const v1::Subscribe& subscribe);
  void Settle(v1::Settle::Kind kind, const std::vector<uint64_t>& tag_pairs);
  void Settle(const v1::Settle& settle);

  // Read frames until so much has been heard since the start.
  void AwaitConfirmed(uint64_t sequence);
  void AwaitSettled(uint64_t through);
  std::vector<RawDelivery> AwaitDeliveries(size_t count);  // all since the start
  v1::GoAway AwaitGoAway();
  void AwaitFrame(const std::function<bool()>& enough);

  // After the broker's last frame.
  grpc::Status Finish();
  void Cancel() { stream_->Cancel(); }

  const std::vector<v1::Confirm>& confirms() const { return confirms_; }
  const std::vector<v1::SettleError>& settle_errors() const { return settle_errors_; }
  const std::vector<v1::Subscribed>& subscribed() const { return subscribed_; }
  const std::vector<v1::SubscriptionEnded>& ended() const { return ended_; }

 private:
  bool ReadFrame();
  void Note(const v1::Deliveries& deliveries);

  std::unique_ptr<RawStream> stream_;
  v1::HelloReply hello_;
  std::optional<grpc::Status> finished_;
  uint64_t confirmed_ = 0;  // highest sequence
  uint64_t settled_through_ = 0;
  bool went_away_ = false;
  v1::GoAway go_away_;
  std::vector<v1::Confirm> confirms_;
  std::vector<v1::SettleError> settle_errors_;
  std::vector<v1::Subscribed> subscribed_;
  std::vector<v1::SubscriptionEnded> ended_;
  std::vector<RawDelivery> deliveries_;
};

}  // namespace baton

#include "tests/stress/hostile_client.h"

#include <array>
#include <atomic>
#include <limits>

#include "base/runtime_dir.h"
#include "tests/support/raw_frames.h"

namespace baton {
namespace {

// Values at the edges of every range there is.
uint64_t RandomNumber(Random& random) {
  constexpr std::array<uint64_t, 16> kEdges = {0,
                                               1,
                                               2,
                                               3,
                                               99,
                                               100,
                                               4'096,
                                               65'535,
                                               65'536,
                                               65'537,
                                               (uint64_t{1} << 31) - 1,
                                               (uint64_t{1} << 32) - 1,
                                               uint64_t{1} << 32,
                                               uint64_t{1} << 63,
                                               std::numeric_limits<uint64_t>::max() - 1,
                                               std::numeric_limits<uint64_t>::max()};
  return Chance(random, 90) ? kEdges[Upto(random, kEdges.size() - 1)] : random();
}

std::string RandomQueue(Random& random) {
  constexpr std::array<const char*, 6> kNames = {"playground", "playground", "relaxed",
                                                 "relaxed",    "nowhere",    "no/slash"};
  return kNames[Upto(random, kNames.size() - 1)];
}

// Absent mostly, else a value for each message, now and then not.
template <class Add>
void RandomColumn(Random& random, uint64_t messages, const Add& add) {
  if (Chance(random, 70)) return;
  const uint64_t values = Chance(random, 3) ? Upto(random, messages + 2) : messages;
  for (uint64_t i = 0; i < values; ++i) add();
}

void FillPublish(Random& random, v1::PublishBatch& batch, uint64_t& next_sequence) {
  batch.set_queue(RandomQueue(random));
  const uint64_t messages = Chance(random, 2) ? 0 : 1 + Upto(random, 20);
  batch.set_first_sequence(Chance(random, 90) ? next_sequence : RandomNumber(random));
  if (Chance(random, 20)) batch.set_first_sequence(1 + Upto(random, next_sequence));  // back, and overlapping
  next_sequence =
      std::max(next_sequence, batch.first_sequence() < 1'000 ? batch.first_sequence() + messages : 0);
  for (uint64_t i = 0; i < messages; ++i) {
    const auto size = static_cast<uint32_t>(Upto(random, 50));
    batch.add_body_sizes(size);
    batch.mutable_bodies()->append(size, 'x');
  }
  if (messages > 0 && Chance(random, 3)) batch.set_body_sizes(0, static_cast<uint32_t>(RandomNumber(random)));
  RandomColumn(random, messages, [&] { batch.add_priorities(static_cast<uint32_t>(RandomNumber(random))); });
  RandomColumn(random, messages, [&] { batch.add_ttl_ms(RandomNumber(random)); });
  RandomColumn(random, messages, [&] { batch.add_delay_ms(Upto(random, 100)); });
  RandomColumn(random, messages, [&] { batch.add_headers(RandomBytes(random, Upto(random, 10))); });
  batch.set_want_ids(Chance(random, 50));
}

void FillSettle(Random& random, v1::Settle& settle) {
  settle.set_kind(static_cast<v1::Settle::Kind>(Chance(random, 97) ? 1 + Upto(random, 3) : Upto(random, 9)));
  for (uint64_t pairs = 1 + Upto(random, 3); pairs > 0; --pairs) {
    settle.add_tags(Chance(random, 95) ? 1 + Upto(random, 30) : RandomNumber(random));
    settle.add_tags(Chance(random, 95) ? Upto(random, 10) : RandomNumber(random));
  }
  if (Chance(random, 2)) settle.add_tags(1);
  if (Chance(random, 20)) settle.set_delay_ms(Upto(random, 50));
  if (Chance(random, 2)) settle.set_delay_ms(RandomNumber(random));
  if (Chance(random, 5)) settle.set_lease_ms(RandomNumber(random));
  if (Chance(random, 20)) settle.set_reason(std::string(Upto(random, Chance(random, 5) ? 300 : 256), 'r'));
}

}  // namespace

std::string RandomBytes(Random& random, size_t length) {
  std::string bytes(length, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

std::shared_ptr<grpc::Channel> NewConnection(const LocalBroker& broker) {
  return NewConnection(GrpcSocketPath(broker.runtime_dir()));
}

std::shared_ptr<grpc::Channel> NewConnection(const std::string& socket_path) {
  static std::atomic<int> connections{0};
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt("baton.hostile", ++connections);
  return grpc::CreateCustomChannel("unix:" + socket_path, grpc::InsecureChannelCredentials(), arguments);
}

// ---- Calls of bytes.

ByteCall::ByteCall(std::shared_ptr<grpc::Channel> channel, const std::string& method)
    : channel_(std::move(channel)), context_(PatientContext()), stub_(channel_) {
  call_ = stub_.PrepareCall(context_.get(), method, &queue_);
  call_->StartCall(this);
  (void)Await();
}

ByteCall::~ByteCall() {
  context_->TryCancel();
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

bool ByteCall::Await() {
  void* tag = nullptr;
  bool ok = false;
  return queue_.Next(&tag, &ok) && ok;
}

bool ByteCall::Say(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  call_->Write(grpc::ByteBuffer(&slice, 1), this);
  return Await();
}

void ByteCall::SayNoMore() {
  call_->WritesDone(this);
  (void)Await();
}

bool ByteCall::Hear() {
  grpc::ByteBuffer heard;
  call_->Read(&heard, this);
  return Await();
}

grpc::Status ByteCall::Finish() {
  while (Hear()) {
  }
  grpc::Status status;
  call_->Finish(&status, this);
  (void)Await();
  return status;
}

// ---- Sessions.

testing::AssertionResult WasTold(const Ending& ending) {
  const std::string reason = ReasonOfRpc(ending.status);
  const auto failure = testing::AssertionFailure() << "code " << ending.status.error_code() << ", reason \""
                                                   << reason << "\": " << ending.status.error_message();
  if (ending.status.ok() || reason.empty() || ending.status.error_message().empty()) return failure;
  if (ending.go_away.has_value() && ending.go_away->error().reason() != reason) {
    return testing::AssertionFailure()
           << "GoAway says " << ending.go_away->error().reason() << ", the status " << reason;
  }
  return testing::AssertionSuccess();
}

testing::AssertionResult EndedProperly(const Ending& ending) {
  if (ending.status.ok() && !ending.go_away.has_value()) return testing::AssertionSuccess();
  return WasTold(ending);
}

HostileSession::HostileSession(std::shared_ptr<grpc::Channel> channel)
    : channel_(std::move(channel)),
      stub_(v1::Broker::NewStub(channel_)),
      context_(PatientContext()),
      stream_(stub_->Session(context_.get())) {}

bool HostileSession::SayHello(uint64_t producer_id) { return Say(HelloFrame("hostile", producer_id)); }

bool HostileSession::Subscribe(uint64_t subscription, const std::string& queue, uint32_t credit) {
  return Say(SubscribeFrame(subscription, queue, credit, kCreditBytesMax));
}

bool HostileSession::SayGoodbye() {
  v1::ClientFrame frame;
  frame.mutable_goodbye();
  return Say(frame);
}

Ending HostileSession::Finish() {
  Ending ending;
  v1::ServerFrame frame;
  while (Hear(frame)) {
    if (frame.has_go_away()) ending.go_away = frame.go_away();
  }
  ending.status = stream_->Finish();
  return ending;
}

v1::ClientFrame RandomFrame(Random& random, uint64_t& next_sequence) {
  v1::ClientFrame frame;
  if (Chance(random, 1))
    frame.mutable_hello()->set_protocol_version(static_cast<uint32_t>(RandomNumber(random)));
  while (Chance(random, 25)) {
    v1::Subscribe* subscribe = frame.add_subscribe();
    subscribe->set_subscription(Chance(random, 98) ? 1 + Upto(random, 5) : RandomNumber(random));
    subscribe->set_queue(RandomQueue(random));
    subscribe->set_credit_messages(static_cast<uint32_t>(RandomNumber(random)));
    subscribe->set_credit_bytes(RandomNumber(random));
    subscribe->set_lease_ms(Chance(random, 50) ? 100 : RandomNumber(random));
  }
  while (Chance(random, 40)) FillPublish(random, *frame.add_publish(), next_sequence);
  while (Chance(random, 40)) FillSettle(random, *frame.add_settle());
  while (Chance(random, 20)) {
    v1::Credit* credit = frame.add_credit();
    credit->set_subscription(Chance(random, 98) ? 1 + Upto(random, 5) : RandomNumber(random));
    credit->set_messages(static_cast<uint32_t>(Chance(random, 95) ? Upto(random, 50) : RandomNumber(random)));
    credit->set_bytes(RandomNumber(random));
  }
  while (Chance(random, 10)) {
    frame.add_unsubscribe()->set_subscription(Chance(random, 98) ? 1 + Upto(random, 5)
                                                                 : RandomNumber(random));
  }
  if (Chance(random, 1)) frame.mutable_goodbye();
  return frame;
}

std::string SomethingLikeAFrame(Random& random) {
  uint64_t sequence = 1;
  std::string bytes = RandomFrame(random, sequence).SerializeAsString();
  switch (Upto(random, 3)) {
    case 0:
      return RandomBytes(random, Upto(random, 4'096));
    case 1:
      return bytes.substr(0, Upto(random, bytes.size()));
    default:
      for (char& byte : bytes) {
        if (Chance(random, 5)) byte = static_cast<char>(random());
      }
      return bytes;
  }
}

}  // namespace baton

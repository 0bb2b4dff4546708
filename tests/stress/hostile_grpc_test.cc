// Hostile and unlucky clients against a real broker: it never crashes, hangs, or grows; whoever breaks a rule
// is told and ended; and nobody else notices, as a witness swears that publishes and consumes through it all.
#include <gmock/gmock.h>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <set>
#include <thread>

#include "base/runtime_dir.h"
#include "tests/stress/hostile_client.h"
#include "tests/stress/process_facts.h"
#include "tests/stress/witness.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::IsEmpty;

constexpr uint64_t kSessionsMax = 200;
constexpr seconds kPatience{20};

// ---- What hostile clients do; each may run beside any other.

// A session whose frames are bytes, and which is never left properly.
void SayBytes(LocalBroker& broker, Random& random) {
  ByteCall call(NewConnection(broker), "/baton.v1.Broker/Session");
  if (Chance(random, 70)) {
    v1::ClientFrame hello;
    hello.mutable_hello()->set_protocol_version(1);
    (void)call.Say(hello.SerializeAsString());
  }
  for (uint64_t frames = Upto(random, 5); frames > 0; --frames) {
    if (!call.Say(SomethingLikeAFrame(random))) break;
  }
  call.SayNoMore();
  const Ending ending{.go_away = {}, .status = call.Finish()};
  // A Goodbye among the bytes is one.
  EXPECT_TRUE(EndedProperly(ending));
}

void AskWithBytes(LocalBroker& broker, Random& random) {
  constexpr const char* kMethods[] = {
      "Broker/Publish",      "Broker/Ack",      "Broker/Nack",       "Broker/Release",     "Broker/Extend",
      "Admin/CreateQueue",   "Admin/GetQueue",  "Admin/ListQueues",  "Admin/ListMessages", "Admin/GetMessage",
      "Admin/DeleteMessage", "Admin/GetStatus", "Admin/UpdateQueue", "Broker/Nothing"};
  const auto channel = NewConnection(broker);
  for (const char* method : kMethods) {
    ByteCall call(channel, std::string("/baton.v1.") + method);
    (void)call.Say(SomethingLikeAFrame(random));
    call.SayNoMore();
    const grpc::Status status = call.Finish();
    EXPECT_NE(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED) << method;
    if (std::string(method) == "Broker/Nothing") {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
    }
  }
}

// What is not even HTTP/2.
void SpeakNoHttp2(LocalBroker& broker, Random& random) {
  const int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_GE(socket_fd, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = GrpcSocketPath(broker.runtime_dir());
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  std::memcpy(address.sun_path, path.data(), path.size());
  ASSERT_EQ(connect(socket_fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  const timeval patience{.tv_sec = kPatience.count(), .tv_usec = 0};
  setsockopt(socket_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  std::string bytes = RandomBytes(random, 1 + Upto(random, 100'000));
  if (Chance(random, 50)) bytes.insert(0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  (void)send(socket_fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  shutdown(socket_fd, SHUT_WR);
  char heard[4'096];
  ssize_t count = 0;
  while ((count = recv(socket_fd, heard, sizeof(heard), 0)) > 0) {
  }
  EXPECT_TRUE(count == 0 || errno == ECONNRESET) << "the connection is still open: " << std::strerror(errno);
  close(socket_fd);
}

// Frames that can be read, of values that no one would think of.
void SayRandomFrames(LocalBroker& broker, Random& random) {
  HostileSession session(NewConnection(broker));
  uint64_t next_sequence = 1;
  (void)session.SayHello(Chance(random, 70) ? 1 + Upto(random, 3) : 0);
  for (uint64_t frames = Upto(random, 30); frames > 0; --frames) {
    if (!session.Say(RandomFrame(random, next_sequence))) break;
  }
  if (Chance(random, 80)) {
    (void)session.SayGoodbye();
  } else {
    session.SayNoMore();
  }
  EXPECT_TRUE(EndedProperly(session.Finish()));
}

void SayTooMuchAtOnce(LocalBroker& broker, Random& random) {
  HostileSession session(NewConnection(broker));
  (void)session.SayHello();
  v1::ClientFrame frame;
  v1::PublishBatch* batch = frame.add_publish();
  batch->set_queue("playground");
  batch->set_first_sequence(1);
  batch->mutable_bodies()->resize((6u << 20) + Upto(random, 1u << 20));
  batch->add_body_sizes(static_cast<uint32_t>(batch->bodies().size()));
  (void)session.Say(frame);
  const Ending ending = session.Finish();
  EXPECT_FALSE(ending.status.ok());
  EXPECT_TRUE(WasTold(ending) || ending.status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED)
      << ending.status.error_code() << " " << ending.status.error_message();
}

// Comes and goes, in every state of a session.
void ComeAndGo(LocalBroker& broker, Random& random) {
  HostileSession session(NewConnection(broker));
  if (Chance(random, 10)) return;
  (void)session.SayHello(Chance(random, 50) ? 7 : 0);
  v1::ServerFrame frame;
  if (Chance(random, 50)) (void)session.Hear(frame);  // the answer to it
  const bool subscribes = Chance(random, 70);
  if (subscribes) (void)session.Subscribe(1, "playground", 10);
  if (Chance(random, 50)) {
    v1::ClientFrame publish;
    publish.add_publish()->set_queue("playground");
    publish.mutable_publish(0)->set_first_sequence(1);
    for (int i = 0; i < 10; ++i) publish.mutable_publish(0)->add_body_sizes(0);
    (void)session.Say(publish);
  }
  if (subscribes && Chance(random, 30)) (void)session.Hear(frame);
  if (Chance(random, 20)) (void)session.SayGoodbye();
}

// A long poll that is given up after no time at all, by a cancel or by its deadline.
void GiveUpPoll(LocalBroker& broker, Random& random) {
  const auto stub = v1::Broker::NewStub(NewConnection(broker));
  for (int polls = 0; polls < 10; ++polls) {
    const auto context = PatientContext();
    const bool by_deadline = Chance(random, 50);
    if (by_deadline) {
      context->set_deadline(std::chrono::system_clock::now() + milliseconds(Upto(random, 10)));
    }
    v1::ReceiveRequest request;
    request.set_queue("playground");
    request.set_wait_ms(60'000);
    request.set_lease_ms(100);
    request.set_messages_max(static_cast<uint32_t>(1 + Upto(random, 4)));
    std::thread canceller;
    if (!by_deadline) {
      canceller = std::thread([&context, yields = Upto(random, 300)] {
        for (uint64_t i = 0; i < yields; ++i) std::this_thread::yield();
        context->TryCancel();
      });
    }
    v1::ReceiveResponse response;
    const grpc::Status status = stub->Receive(context.get(), request, &response);
    if (canceller.joinable()) canceller.join();
    EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::CANCELLED ||
                status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED ||
                ReasonOfRpc(status) == "BROKER_BUSY")
        << status.error_code() << " " << status.error_message();
  }
}

// ---- The broker, its witness, and what must be true afterwards.

Config SmallConfig() {
  Config config;
  config.memory_budget = 64u << 20;
  config.sessions_max = kSessionsMax;
  return config;
}

class Hostile : public testing::Test {
 protected:
  Hostile() : broker(SmallConfig()), random(RandomSeed()) {
    v1::QueueConfig config;
    config.set_attempts_max(0);
    broker.CreateQueue("playground", config);
    config.set_durability(v1::RELAXED);
    broker.CreateQueue("relaxed", config);
    broker.CreateQueue("witness");
    witness.emplace("grpc+unix:" + GrpcSocketPath(broker.runtime_dir()), "witness");
  }

  // Everybody has gone: nothing is left of them but messages, and every one of those is accounted for.
  void TearDown() override {
    EXPECT_TRUE(witness->SeesLife());
    EXPECT_THAT(witness->Finish(), IsEmpty());
    EXPECT_GT(witness->published(), 0u);
    Await([this] { return Status().sessions() == 0; }, "sessions are left");
    for (const char* name : {"playground", "relaxed"}) {
      Await(
          [&] {
            const v1::QueueCounts held = broker.GetQueue(name).counts();
            return held.leased() == 0 && held.subscriptions() == 0;
          },
          "leases or consumers are left");
      const v1::QueueCounts counts = broker.GetQueue(name).counts();
      EXPECT_EQ(counts.published(),
                counts.ready() + counts.delayed() + counts.parked() + counts.acked() + counts.expired())
          << name << ": " << counts.ShortDebugString();
    }
  }

  v1::BrokerStatus Status() {
    v1::BrokerStatus status;
    const grpc::Status asked =
        broker.admin().GetStatus(PatientContext().get(), v1::GetStatusRequest(), &status);
    EXPECT_TRUE(asked.ok()) << asked.error_message();
    return status;
  }
  void Await(const std::function<bool()>& condition, const char* otherwise) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << otherwise;
      std::this_thread::yield();
    }
  }
  // `client` again and again, each time while the witness looks on.
  void Repeat(int times, void (*client)(LocalBroker&, Random&)) {
    for (int i = 0; i < times && !HasFailure(); ++i) client(broker, random);
    EXPECT_TRUE(witness->SeesLife());
  }

  google::protobuf::LogSilencer silencer;  // of bytes that are no UTF-8
  LocalBroker broker;
  Random random;
  std::optional<Witness> witness;
};

TEST_F(Hostile, FramesOfAnyBytesEndTheirSessionOnly) { Repeat(300, SayBytes); }

TEST_F(Hostile, RequestsOfAnyBytesAreAnswered) { Repeat(20, AskWithBytes); }

TEST_F(Hostile, BytesThatAreNoHttp2EndTheirConnectionOnly) { Repeat(50, SpeakNoHttp2); }

TEST_F(Hostile, FramesOfAnyValuesAreAnsweredOrEndTheirSessionOnly) { Repeat(300, SayRandomFrames); }

TEST_F(Hostile, FramesOverTheLimitEndTheirSessionOnly) { Repeat(5, SayTooMuchAtOnce); }

TEST_F(Hostile, ClientsThatComeAndGoLeaveNothingBehind) {
  broker.Publish("playground", std::vector<std::string>(100, "x"));
  Repeat(200, ComeAndGo);
}

TEST_F(Hostile, LongPollsGivenUpAtRandomLoseNothing) {
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([this, seed = random()] {
      Random own(seed);
      for (int rounds = 0; rounds < 10; ++rounds) GiveUpPoll(broker, own);
    });
  }
  std::multiset<std::string> published;
  for (int i = 0; i < 300; ++i) {
    broker.Publish("playground", {std::to_string(i)});
    published.insert(std::to_string(i));
  }
  for (std::thread& client : clients) client.join();

  // What was given up came back at once, or, if its answer was on the wire already, at its lease's end.
  std::multiset<std::string> received;
  while (received.size() < published.size()) {
    const auto messages = broker.Receive("playground", 100, kPatience);
    ASSERT_FALSE(messages.empty()) << received.size() << " of " << published.size() << " came back";
    v1::AckRequest ack;
    for (const v1::ReceivedMessage& message : messages) {
      received.insert(message.body());
      ack.add_tokens(message.token());
    }
    v1::SettleResponse response;
    ASSERT_TRUE(broker.broker().Ack(PatientContext().get(), ack, &response).ok());
    for (const v1::SettleResult& result : response.results()) EXPECT_FALSE(result.has_error());
  }
  EXPECT_EQ(received, published);
}

// Publishes its whole credit and goes, reading nothing or all that it is owed.
void PublishMuch(LocalBroker& broker, Random& random) {
  constexpr int kFrames = 16;  // of 512 KiB each: 8 MiB, the credit
  HostileSession session(NewConnection(broker));
  (void)session.SayHello(random() | 1);
  for (uint64_t sequence = 1; sequence <= kFrames; ++sequence) {
    v1::ClientFrame frame;
    v1::PublishBatch* batch = frame.add_publish();
    batch->set_queue("playground");
    batch->set_first_sequence(sequence);
    batch->mutable_bodies()->resize(512u << 10);
    batch->add_body_sizes(512u << 10);
    ASSERT_TRUE(session.Say(frame));
  }
  if (Chance(random, 30)) return;
  (void)session.SayGoodbye();
  uint64_t confirmed = 0;
  v1::ServerFrame frame;
  while (session.Hear(frame)) {
    for (const v1::Confirm& confirm : frame.confirms()) {
      confirmed += confirm.last_sequence() - confirm.first_sequence() + 1;
      EXPECT_EQ(confirm.errors_size(), 0);
    }
  }
  EXPECT_TRUE(session.Finish().status.ok());
  EXPECT_EQ(confirmed, static_cast<uint64_t>(kFrames));
}

// Each within its credit, all together more than the broker holds for the disk: they wait, and all are
// served.
TEST_F(Hostile, PublishersThatAreFasterThanTheDiskWaitAndAreServed) {
  std::vector<std::thread> clients;
  for (int i = 0; i < 32; ++i) {
    clients.emplace_back([this, seed = random()] {
      Random own(seed);
      for (int rounds = 0; rounds < 2 && !HasFailure(); ++rounds) PublishMuch(broker, own);
    });
  }
  for (std::thread& client : clients) client.join();
}

// Neither reads; one has much to read, the other has not even said who it is. Both are ended in ten seconds
// or so.
TEST_F(Hostile, ClientsThatDoNotReadOrSayHelloAreEnded) {
  constexpr int kMessages = 512;
  for (int i = 0; i < kMessages / 16; ++i) {
    broker.Publish("playground", std::vector<std::string>(16, std::string(64u << 10, 'x')));
  }
  const size_t memory_before = OccupiedBytes();
  HostileSession silent(NewConnection(broker));
  silent.SayNoMore();
  std::vector<std::unique_ptr<HostileSession>> without_hello;
  for (int i = 0; i < 10; ++i)
    without_hello.push_back(std::make_unique<HostileSession>(NewConnection(broker)));
  HostileSession greedy(NewConnection(broker));
  ASSERT_TRUE(greedy.SayHello(9));
  v1::ClientFrame publish;
  publish.add_publish()->set_queue("playground");
  publish.mutable_publish(0)->set_first_sequence(1);
  publish.mutable_publish(0)->mutable_bodies()->resize(kMessages);
  for (int i = 0; i < kMessages; ++i) publish.mutable_publish(0)->add_body_sizes(1);
  ASSERT_TRUE(greedy.Say(publish));
  ASSERT_TRUE(greedy.Subscribe(1, "playground", kCreditMessagesMax));
  Await([this] { return broker.GetQueue("playground").counts().leased() > 0; }, "nothing was delivered");

  size_t memory_most = 0;
  Await(
      [&] {
        memory_most = std::max(memory_most, OccupiedBytes());
        return Status().sessions() == 1;  // the witness's
      },
      "a client that reads nothing holds its session");
  EXPECT_TRUE(witness->SeesLife());
  EXPECT_EQ(broker.GetQueue("playground").counts().leased(), 0u);
  EXPECT_EQ(broker.GetQueue("playground").counts().ready(), uint64_t{2} * kMessages);
  EXPECT_LT(memory_most, memory_before + (128u << 20)) << "the budget is 64 MiB";
  EXPECT_FALSE(greedy.Finish().status.ok());
  EXPECT_TRUE(WasTold(silent.Finish()));
  for (const auto& session : without_hello) {
    const Ending ending = session->Finish();
    EXPECT_TRUE(WasTold(ending));
    EXPECT_THAT(ending.status.error_message(), testing::HasSubstr("no Hello"));
  }
}

TEST_F(Hostile, SessionsThatOpenWronglyAreToldWhy) {
  const std::vector<std::pair<std::function<void(v1::ClientFrame&)>, std::string>> openings = {
      {[](v1::ClientFrame& frame) { frame.clear_hello(); }, "no Hello"},
      {[](v1::ClientFrame& frame) { frame.mutable_hello()->set_protocol_version(0); }, "speaks version 1"},
      {[](v1::ClientFrame& frame) { frame.mutable_hello()->set_protocol_version(UINT32_MAX); },
       "speaks version 1"},
      {[](v1::ClientFrame& frame) { frame.mutable_hello()->set_client_name(std::string(129, 'n')); },
       "at most 128"}};
  for (const auto& [change, words] : openings) {
    HostileSession session(NewConnection(broker));
    v1::ClientFrame frame;
    frame.mutable_hello()->set_protocol_version(1);
    change(frame);
    (void)session.Say(frame);
    const Ending ending = session.Finish();
    EXPECT_TRUE(WasTold(ending));
    EXPECT_THAT(ending.status.error_message(), testing::HasSubstr(words));
  }
  HostileSession twice(NewConnection(broker));
  (void)twice.SayHello();
  (void)twice.SayHello();
  EXPECT_THAT(twice.Finish().status.error_message(), testing::HasSubstr("Hello came twice"));
}

TEST_F(Hostile, StreamsBeyondTheLimitAreToldAndTheOthersServed) {
  constexpr int kStreams = 1'500;
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < 3; ++i) channels.push_back(NewConnection(broker));
  std::vector<std::unique_ptr<HostileSession>> sessions;
  for (int i = 0; i < kStreams; ++i) {
    sessions.push_back(std::make_unique<HostileSession>(channels[static_cast<size_t>(i) % channels.size()]));
    (void)sessions.back()->SayHello();
  }
  uint64_t served = 0;
  for (const auto& session : sessions) {
    v1::ServerFrame frame;
    if (session->Hear(frame)) {
      EXPECT_TRUE(frame.has_hello());
      ++served;
      continue;
    }
    const Ending ending = session->Finish();
    EXPECT_TRUE(WasTold(ending));
    EXPECT_EQ(ReasonOfRpc(ending.status), "SESSION_LIMIT");
  }
  EXPECT_GT(served, 0u);
  EXPECT_LT(served, kSessionsMax);  // the witness has one
  EXPECT_TRUE(witness->SeesLife());

  // When they are gone there is room again for as many as before.
  sessions.clear();
  Await([this] { return Status().sessions() == 1; }, "sessions are left");
  while (sessions.size() < kSessionsMax - 1 && !HasFailure()) {
    Await(
        [&] {  // a stream counts a little longer than its session
          auto session = std::make_unique<HostileSession>(channels[0]);
          (void)session->SayHello();
          v1::ServerFrame frame;
          if (!session->Hear(frame)) return false;
          sessions.push_back(std::move(session));
          return true;
        },
        "streams that are gone are still counted");
  }
  EXPECT_EQ(Status().sessions(), kSessionsMax);
}

// A frame of a few bytes names 65,536 tags, again and again; none of them was delivered.
TEST_F(Hostile, SettlementsOfWhatWasNeverDeliveredEndTheirSessionOnly) {
  const size_t memory_before = OccupiedBytes();
  HostileSession session(NewConnection(broker));
  (void)session.SayHello();
  v1::ClientFrame settle;
  settle.add_settle()->set_kind(v1::Settle::ACK);
  settle.mutable_settle(0)->add_tags(1);
  settle.mutable_settle(0)->add_tags(kSettleTagsMax - 1);
  for (int i = 0; i < 60; ++i) (void)session.Say(settle);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(witness->SeesLife());
  EXPECT_LT(OccupiedBytes(), memory_before + (128u << 20));
  const Ending ending = session.Finish();
  EXPECT_TRUE(WasTold(ending));
  EXPECT_EQ(ReasonOfRpc(ending.status), "PROTOCOL_VIOLATION");
}

TEST_F(Hostile, FramesOfAMillionSmallThingsEndTheirSessionOnly) {
  const std::vector<std::function<void(v1::ClientFrame&)>> things = {
      [](v1::ClientFrame& frame) { frame.add_credit()->set_subscription(1); },
      [](v1::ClientFrame& frame) { frame.add_unsubscribe()->set_subscription(1); },
      [](v1::ClientFrame& frame) { frame.add_subscribe()->set_subscription(1); }};
  for (const auto& add : things) {
    HostileSession session(NewConnection(broker));
    (void)session.SayHello();
    v1::ClientFrame frame;
    for (int i = 0; i < 1'000'000; ++i) add(frame);
    (void)session.Say(frame);
    const Ending ending = session.Finish();
    EXPECT_TRUE(WasTold(ending));
    EXPECT_EQ(ReasonOfRpc(ending.status), "PROTOCOL_VIOLATION");
  }
}

TEST_F(Hostile, AllAtOnceAreNoWorse) {
  broker.Publish("playground", std::vector<std::string>(100, "x"));
  const auto end = std::chrono::steady_clock::now() + seconds(4);
  std::vector<std::thread> clients;
  for (void (*client)(LocalBroker&, Random&) :
       {SayBytes, AskWithBytes, SpeakNoHttp2, SayRandomFrames, SayTooMuchAtOnce, ComeAndGo, GiveUpPoll}) {
    clients.emplace_back([this, end, client, seed = random()] {
      Random own(seed);
      while (std::chrono::steady_clock::now() < end && !HasFailure()) client(broker, own);
    });
  }
  while (std::chrono::steady_clock::now() < end && !HasFailure()) EXPECT_TRUE(witness->SeesLife());
  for (std::thread& client : clients) client.join();
}

}  // namespace
}  // namespace baton

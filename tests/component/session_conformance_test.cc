// What a client may rely on, whatever carries its session: over gRPC on TCP, gRPC on a socket, and rings in
// shared memory, against a real broker with a real store. Here the session itself; what is published and
// consumed in it, with queues of every durability, in session_publishing_test.cc and
// session_consuming_test.cc.
#include "tests/component/session_conformance.h"

namespace baton {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

class Session : public testing::TestWithParam<CarrierKind> {};
INSTANTIATE_TEST_SUITE_P(Over, Session,
                         testing::Values(CarrierKind::kGrpcTcp, CarrierKind::kGrpcUnix, CarrierKind::kRings),
                         [](const auto& info) { return NameOf(info.param); });

TEST_P(Session, HelloTellsLimitsAndCredit) {
  LocalBroker broker(Config(), GetParam());
  RawSession session(broker);
  EXPECT_EQ(session.hello().protocol_version(), 1u);
  EXPECT_EQ(session.hello().epoch(), 1u);
  EXPECT_EQ(session.hello().body_bytes_max(), kBodyBytesDefaultMax);
  EXPECT_EQ(session.hello().publish_credit().messages(), kPublishCreditMessages);
  EXPECT_EQ(session.hello().accepted_sequence(), 0u);
}

TEST_P(Session, IsListedWithItsPeer) {
  LocalBroker broker(Config(), GetParam());
  RawSession session(broker);
  v1::BrokerStatus status;
  ASSERT_TRUE(broker.admin().GetStatus(PatientContext().get(), v1::GetStatusRequest(), &status).ok());
  ASSERT_EQ(status.session_list_size(), 1);
  const std::map<CarrierKind, std::string> peers = {{CarrierKind::kGrpcTcp, "ipv4:127.0.0.1:"},
                                                    {CarrierKind::kGrpcUnix, "unix:grpc.sock"},
                                                    {CarrierKind::kRings, "unix:pid="}};
  EXPECT_THAT(status.session_list(0).peer(), StartsWith(peers.at(GetParam())));
}

TEST_P(Session, ThatStartsWithoutHelloIsToldToGoAway) {
  LocalBroker broker(Config(), GetParam());
  RawSession session(broker, RawSession::NoHello());
  session.Publish("orders", 1, {"a"});
  const v1::GoAway go_away = session.AwaitGoAway();
  EXPECT_EQ(go_away.error().reason(), "PROTOCOL_VIOLATION");
  EXPECT_THAT(go_away.error().message(), HasSubstr("no Hello"));
  const grpc::Status status = session.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOfRpc(status), "PROTOCOL_VIOLATION");
}

TEST_P(Session, OfAProducerIdTakenOverIsToldToGoAway) {
  LocalBroker broker(Config(), GetParam());
  RawSession older(broker, 9);
  RawSession newer(broker, 9);
  EXPECT_EQ(older.AwaitGoAway().error().code(), static_cast<uint32_t>(grpc::StatusCode::ABORTED));
}

TEST_P(Session, BeyondTheLimitIsRefused) {
  Config config;
  config.sessions_max = 1;
  LocalBroker broker(config, GetParam());
  RawSession first(broker);
  RawSession second(broker, RawSession::NoHello());
  const grpc::Status status = second.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOfRpc(status), "SESSION_LIMIT");
}

TEST_P(Session, PublishingToAQueueThatIsNotThereIsAnswered) {
  LocalBroker broker(Config(), GetParam());
  RawSession session(broker, 3);
  session.Publish("nowhere", 1, {"a"});
  session.AwaitConfirmed(1);
  ASSERT_THAT(session.confirms(), SizeIs(1));
  ASSERT_THAT(session.confirms()[0].errors(), SizeIs(1));
  EXPECT_EQ(session.confirms()[0].errors(0).error().reason(), "QUEUE_NOT_FOUND");
}

TEST_P(Session, ThatPublishesMoreThanItsCreditIsToldToGoAway) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
  RawSession session(broker, 3);
  // In one frame, so that no confirm can come in between.
  v1::ClientFrame frame;
  uint64_t sequence = 1;
  for (int batches = 0; batches < 2; ++batches) {
    v1::PublishBatch* batch = frame.add_publish();
    batch->set_queue("orders");
    batch->set_first_sequence(sequence);
    for (size_t i = 0; i < kBatchMessagesMax; ++i, ++sequence) batch->add_body_sizes(0);
  }
  session.Send(frame);
  EXPECT_EQ(session.AwaitGoAway().error().reason(), "CREDIT_EXCEEDED");
}

TEST_P(Session, HearsThatTheBrokerStops) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
  RawSession session(broker, 9);
  session.Publish("orders", 1, {"a"});
  session.AwaitConfirmed(1);
  broker.Stop();
  EXPECT_EQ(session.AwaitGoAway().error().reason(), "BROKER_STOPPING");
  EXPECT_EQ(session.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_P(Session, WithColumnsThatDoNotFitIsToldToGoAway) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
  RawSession session(broker, 3);
  v1::ClientFrame frame;
  v1::PublishBatch* batch = frame.add_publish();
  batch->set_queue("orders");
  batch->set_first_sequence(1);
  batch->set_bodies("abc");
  batch->add_body_sizes(4);
  session.Send(frame);
  EXPECT_EQ(session.AwaitGoAway().error().reason(), "PROTOCOL_VIOLATION");
  EXPECT_EQ(broker.GetQueue("orders").counts().published(), 0u);
}

TEST_P(Session, ThatSettlesTooManyTagsInOneFrameIsToldToGoAway) {
  LocalBroker broker(Config(), GetParam());
  RawSession session(broker);
  session.Settle(v1::Settle::ACK, {1, kSettleTagsMax});
  EXPECT_EQ(session.AwaitGoAway().error().reason(), "PROTOCOL_VIOLATION");
}

TEST_P(Session, ThatSaysHelloTwiceIsToldToGoAway) {
  LocalBroker broker(Config(), GetParam());
  RawSession session(broker, 3);
  v1::ClientFrame frame;
  frame.mutable_hello()->set_protocol_version(1);
  session.Send(frame);
  EXPECT_EQ(session.AwaitGoAway().error().reason(), "PROTOCOL_VIOLATION");
}

TEST_P(Session, OfAnotherProtocolVersionIsToldToGoAway) {
  LocalBroker broker(Config(), GetParam());
  RawSession session(broker, RawSession::NoHello());
  v1::ClientFrame frame;
  frame.mutable_hello()->set_protocol_version(2);
  session.Send(frame);
  EXPECT_EQ(session.AwaitGoAway().error().reason(), "PROTOCOL_VIOLATION");
}

TEST_P(Session, HearsWhySubscribingIsRefused) {
  LocalBroker broker(Config(), GetParam());
  broker.CreateQueue("orders");
  RawSession session(broker);
  session.Subscribe(1, "nowhere");
  session.Subscribe(2, "orders");
  session.Subscribe(2, "orders");
  v1::Subscribe short_lease;
  short_lease.set_subscription(3);
  short_lease.set_queue("orders");
  short_lease.set_lease_ms(99);
  short_lease.set_credit_messages(1);
  session.Subscribe(short_lease);
  session.AwaitFrame([&] { return session.subscribed().size() == 4; });
  std::vector<std::string> reasons;
  for (const v1::Subscribed& subscribed : session.subscribed())
    reasons.push_back(subscribed.has_error() ? subscribed.error().reason() : "");
  EXPECT_THAT(reasons,
              testing::UnorderedElementsAre("QUEUE_NOT_FOUND", "", "SUBSCRIPTION_EXISTS", "OUT_OF_RANGE"));
}

}  // namespace
}  // namespace baton

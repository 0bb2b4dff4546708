// Bad input over the wire, against a real broker: it is answered with a code, a reason, and words that say
// what was wrong, what is allowed and what to do; and nothing is lost, for whoever goes on and for everyone
// else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "tests/support/local_broker.h"
#include "tests/support/raw_frames.h"

namespace baton {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr uint64_t kTenYearsMs = uint64_t{3650} * 24 * 3600 * 1000;

// How something was refused, wherever the words were: in a status's trailer or in a frame.
struct Refusal {
  uint32_t code = 0;
  std::string reason;
  std::string message;
};
Refusal RefusalOf(const grpc::Status& status) {
  return {static_cast<uint32_t>(status.error_code()), ReasonOfRpc(status), status.error_message()};
}
Refusal RefusalOf(const v1::Error& error) { return {error.code(), error.reason(), error.message()}; }

template <class... Words>
auto Says(grpc::StatusCode code, const std::string& reason, const Words&... words) {
  return AllOf(testing::Field("code", &Refusal::code, static_cast<uint32_t>(code)),
               testing::Field("reason", &Refusal::reason, reason),
               testing::Field("message", &Refusal::message, AllOf(testing::_, HasSubstr(words)...)));
}
void PrintTo(const Refusal& refusal, std::ostream* out) {
  *out << refusal.code << " " << refusal.reason << ": " << refusal.message;
}

// Refusals of a session's publishes, by sequence.
std::vector<std::pair<uint64_t, Refusal>> RefusedPublishes(const RawSession& session) {
  std::vector<std::pair<uint64_t, Refusal>> refused;
  for (const v1::Confirm& confirm : session.confirms()) {
    for (const v1::PublishError& error : confirm.errors())
      refused.emplace_back(error.sequence(), RefusalOf(error.error()));
  }
  return refused;
}

class BadInput : public testing::Test {
 protected:
  BadInput() { broker.CreateQueue("orders"); }

  template <class Response, class Request>
  Refusal Call(grpc::Status (v1::Broker::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
               const Request& request) {
    Response response;
    return RefusalOf((broker.broker().*method)(PatientContext().get(), request, &response));
  }
  template <class Response, class Request>
  Refusal Administer(grpc::Status (v1::Admin::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                     const Request& request) {
    Response response;
    return RefusalOf((broker.admin().*method)(PatientContext().get(), request, &response));
  }
  // Each message's answer of one unary call, as its reason; "" = stored.
  std::vector<v1::PublishResult> Publish(const v1::PublishRequest& request) {
    v1::PublishResponse response;
    const grpc::Status status = broker.broker().Publish(PatientContext().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return {response.results().begin(), response.results().end()};
  }
  std::vector<v1::SettleResult> Ack(const std::vector<std::string>& tokens) {
    v1::AckRequest request;
    for (const std::string& token : tokens) request.add_tokens(token);
    v1::SettleResponse response;
    const grpc::Status status = broker.broker().Ack(PatientContext().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return {response.results().begin(), response.results().end()};
  }
  // Takes and acks everything that is ready.
  std::vector<std::string> Drain(const std::string& queue) {
    std::vector<std::string> bodies;
    for (;;) {
      const auto received = broker.Receive(queue, 100);
      if (received.empty()) return bodies;
      for (const v1::ReceivedMessage& message : received) {
        bodies.push_back(message.body());
        EXPECT_FALSE(Ack({message.token()})[0].has_error());
      }
    }
  }

  LocalBroker broker;
};

// A batch of a session that is to be answered: with the properties that `change` sets.
v1::ClientFrame Batch(const std::string& queue, uint64_t first_sequence,
                      const std::vector<std::string>& bodies,
                      const std::function<void(v1::PublishBatch&)>& change) {
  v1::ClientFrame frame = PublishFrame(queue, first_sequence, bodies);
  change(*frame.mutable_publish(0));
  return frame;
}

// ---- Queue names.

TEST_F(BadInput, QueueNamesThatAreNotAllowedAreRefusedByEveryCall) {
  const auto refused = Says(grpc::StatusCode::INVALID_ARGUMENT, "QUEUE_NAME_INVALID",
                            "a queue name is 1 to 128 characters of A-Z a-z 0-9 . _ : { } -");
  const std::string with_nul("a\0b", 3);
  for (const std::string& name :
       {std::string(), std::string(129, 'q'), std::string("no/slash"), std::string("no space"),
        std::string("gr\xc3\xb6\xc3\x9f"
                    "e"),
        std::string("line\nbreak"), with_nul, std::string("*"), std::string("a,b")}) {
    SCOPED_TRACE(name);
    v1::PublishRequest publish;
    publish.set_queue(name);
    publish.add_messages()->set_body("x");
    EXPECT_THAT(Call(&v1::Broker::Stub::Publish, publish), refused);
    v1::ReceiveRequest receive;
    receive.set_queue(name);
    EXPECT_THAT(Call(&v1::Broker::Stub::Receive, receive), refused);
    v1::CreateQueueRequest create;
    create.set_name(name);
    EXPECT_THAT(Administer(&v1::Admin::Stub::CreateQueue, create), refused);
    v1::UpdateQueueRequest update;
    update.set_name(name);
    EXPECT_THAT(Administer(&v1::Admin::Stub::UpdateQueue, update), refused);
    v1::DeleteQueueRequest remove;
    remove.set_name(name);
    EXPECT_THAT(Administer(&v1::Admin::Stub::DeleteQueue, remove), refused);
    v1::GetQueueRequest get;
    get.set_name(name);
    EXPECT_THAT(Administer(&v1::Admin::Stub::GetQueue, get), refused);
    v1::PurgeQueueRequest purge;
    purge.set_name(name);
    EXPECT_THAT(Administer(&v1::Admin::Stub::PurgeQueue, purge), refused);
    v1::ListMessagesRequest list;
    list.set_queue(name);
    EXPECT_THAT(Administer(&v1::Admin::Stub::ListMessages, list), refused);
  }
}

TEST_F(BadInput, QueueNamesThatAreNotAllowedAreAnsweredAndTheSessionGoesOn) {
  const auto refused =
      Says(grpc::StatusCode::INVALID_ARGUMENT, "QUEUE_NAME_INVALID", "character '/'", "1 to 128");
  RawSession session(broker, 3);
  session.Publish("no/slash", 1, {"a", "b"});
  session.Subscribe(1, "no/slash");
  session.Publish("orders", 3, {"c"});
  session.Subscribe(1, "orders");  // the number was not used up
  session.AwaitConfirmed(3);
  EXPECT_EQ(session.AwaitDeliveries(1)[0].body, "c");

  EXPECT_THAT(RefusedPublishes(session), ElementsAre(testing::Pair(1u, refused), testing::Pair(2u, refused)));
  ASSERT_THAT(session.subscribed(), SizeIs(2));
  EXPECT_THAT(RefusalOf(session.subscribed()[0].error()), refused);
  EXPECT_FALSE(session.subscribed()[1].has_error());
}

TEST_F(BadInput, QueueNamesOfEveryAllowedCharacterAndLengthAreTaken) {
  for (const std::string& name : {std::string("q"), std::string(128, 'q'), std::string("AZaz09._:{}-")}) {
    broker.CreateQueue(name);
    EXPECT_FALSE(broker.Publish(name, {"x"})[0].has_error());
    EXPECT_THAT(Drain(name), ElementsAre("x"));
  }
}

// ---- Sizes.

TEST_F(BadInput, BodiesOverTheLimitAreRefusedOneByOne) {
  const std::string largest(4u << 20, 'l');
  const std::string larger(largest.size() + 1, 'x');
  const auto refused = Says(grpc::StatusCode::INVALID_ARGUMENT, "BODY_TOO_LARGE", "4194305 bytes",
                            "at most 4194304 are allowed", "option body_bytes_max");
  const auto results = broker.Publish("orders", {"a", larger, "b"});
  EXPECT_FALSE(results[0].has_error());
  EXPECT_THAT(RefusalOf(results[1].error()), refused);
  EXPECT_FALSE(results[2].has_error());

  RawSession session(broker, 3);
  session.Publish("orders", 1, {"c", larger, "d"});
  session.AwaitConfirmed(3);
  session.Publish("orders", 4, {largest});
  session.AwaitConfirmed(4);
  EXPECT_THAT(RefusedPublishes(session), ElementsAre(testing::Pair(2u, refused)));
  EXPECT_THAT(Drain("orders"), ElementsAre("a", "b", "c", "d", largest));
}

TEST_F(BadInput, HeadersOverTheLimitAreRefusedOneByOne) {
  v1::Headers largest;
  largest.add_headers()->set_name("n");
  largest.mutable_headers(0)->set_value(
      std::string((16u << 10) - 9, 'v'));  // 9 bytes are tags, lengths and the name
  ASSERT_EQ(largest.ByteSizeLong(), 16u << 10);
  v1::Headers larger = largest;
  larger.mutable_headers(0)->mutable_value()->push_back('v');
  v1::Headers most;
  for (int i = 0; i < 64; ++i) most.add_headers()->set_name("n");
  v1::Headers too_many = most;
  too_many.add_headers()->set_name("n");
  v1::Headers brokers;
  brokers.add_headers()->set_name("baton-dead-letter-queue");
  v1::Headers nameless;
  nameless.add_headers()->set_value("v");
  v1::Headers long_name;
  long_name.add_headers()->set_name(std::string(129, 'n'));

  const auto code = grpc::StatusCode::INVALID_ARGUMENT;
  const auto are_right = [&](const std::vector<Refusal>& refusals) {
    ASSERT_THAT(refusals, SizeIs(7));
    EXPECT_EQ(refusals[0].reason, "");
    EXPECT_THAT(refusals[1],
                Says(code, "HEADERS_TOO_LARGE", "16385 bytes", "at most 16384", "header_bytes_max"));
    EXPECT_EQ(refusals[2].reason, "");
    EXPECT_THAT(refusals[3], Says(code, "HEADERS_TOO_LARGE", "65 headers", "at most 64"));
    EXPECT_THAT(refusals[4], Says(code, "INVALID_ARGUMENT", "baton-dead-letter-queue", "is the broker's"));
    EXPECT_THAT(refusals[5], Says(code, "INVALID_ARGUMENT", "name has 0 bytes", "1 to 128"));
    EXPECT_THAT(refusals[6], Says(code, "INVALID_ARGUMENT", "name has 129 bytes", "1 to 128"));
  };
  const std::vector<v1::Headers> columns = {largest, larger, most, too_many, brokers, nameless, long_name};
  v1::PublishRequest request;
  request.set_queue("orders");
  for (const v1::Headers& headers : columns) *request.add_messages()->mutable_headers() = headers;
  std::vector<Refusal> refusals;
  for (const v1::PublishResult& result : Publish(request)) refusals.push_back(RefusalOf(result.error()));
  are_right(refusals);

  RawSession session(broker, 3);
  session.Send(Batch("orders", 1, std::vector<std::string>(columns.size()), [&](v1::PublishBatch& batch) {
    for (const v1::Headers& headers : columns) batch.add_headers(headers.SerializeAsString());
  }));
  session.AwaitConfirmed(columns.size());
  refusals.assign(columns.size(), {});
  for (const auto& [sequence, refusal] : RefusedPublishes(session)) refusals.at(sequence - 1) = refusal;
  are_right(refusals);

  session.Send(
      Batch("orders", 8, {"z"}, [](v1::PublishBatch& batch) { batch.add_headers("\x0a\x7fnonsense"); }));
  session.AwaitConfirmed(8);
  EXPECT_THAT(RefusedPublishes(session).back().second,
              Says(code, "INVALID_ARGUMENT", "not an encoded baton.v1.Headers"));
  EXPECT_EQ(broker.GetQueue("orders").counts().ready(), 4u);
}

TEST_F(BadInput, CallsOfNoneOrTooManyMessagesAreRefusedAsAWhole) {
  v1::PublishRequest publish;
  publish.set_queue("orders");
  const auto code = grpc::StatusCode::INVALID_ARGUMENT;
  EXPECT_THAT(Call(&v1::Broker::Stub::Publish, publish),
              Says(code, "OUT_OF_RANGE", "0 messages", "1 to 4096"));
  for (int i = 0; i < 4'097; ++i) publish.add_messages();
  EXPECT_THAT(Call(&v1::Broker::Stub::Publish, publish),
              Says(code, "OUT_OF_RANGE", "4097 messages", "1 to 4096"));
  v1::AckRequest ack;
  EXPECT_THAT(Call(&v1::Broker::Stub::Ack, ack), Says(code, "OUT_OF_RANGE", "0 tokens", "1 to 4096"));
  v1::ReceiveRequest receive;
  receive.set_queue("orders");
  receive.set_messages_max(4'097);
  EXPECT_THAT(Call(&v1::Broker::Stub::Receive, receive), Says(code, "OUT_OF_RANGE", "4097", "at most 4096"));
  receive.set_messages_max(1);
  receive.set_wait_ms(300'001);
  EXPECT_THAT(Call(&v1::Broker::Stub::Receive, receive),
              Says(code, "OUT_OF_RANGE", "wait_ms is 300001", "300000"));
  v1::NackRequest nack;
  nack.add_tokens("t");
  nack.set_reason(std::string(257, 'r'));
  EXPECT_THAT(Call(&v1::Broker::Stub::Nack, nack), Says(code, "OUT_OF_RANGE", "257 bytes", "at most 256"));
  publish.clear_messages();
  publish.add_messages();
  publish.set_first_sequence(7);
  EXPECT_THAT(Call(&v1::Broker::Stub::Publish, publish),
              Says(code, "INVALID_ARGUMENT", "set both or neither"));
  EXPECT_EQ(broker.GetQueue("orders").counts().ready(), 0u);
}

// ---- Queues that are not there.

TEST_F(BadInput, AnUnknownQueueIsNamedWithTheCommandThatCreatesIt) {
  const auto refused = Says(grpc::StatusCode::NOT_FOUND, "QUEUE_NOT_FOUND", "queue nowhere does not exist",
                            "create it with `baton queue create nowhere`");
  EXPECT_THAT(RefusalOf(broker.Publish("nowhere", {"x"})[0].error()), refused);
  v1::ReceiveRequest receive;
  receive.set_queue("nowhere");
  EXPECT_THAT(Call(&v1::Broker::Stub::Receive, receive), refused);
  v1::GetQueueRequest get;
  get.set_name("nowhere");
  EXPECT_THAT(Administer(&v1::Admin::Stub::GetQueue, get), refused);
  v1::UpdateQueueRequest update;
  update.set_name("nowhere");
  EXPECT_THAT(Administer(&v1::Admin::Stub::UpdateQueue, update), refused);
  v1::DeleteQueueRequest remove;
  remove.set_name("nowhere");
  EXPECT_THAT(Administer(&v1::Admin::Stub::DeleteQueue, remove), refused);
  v1::PurgeQueueRequest purge;
  purge.set_name("nowhere");
  EXPECT_THAT(Administer(&v1::Admin::Stub::PurgeQueue, purge), refused);
  v1::ListMessagesRequest list;
  list.set_queue("nowhere");
  EXPECT_THAT(Administer(&v1::Admin::Stub::ListMessages, list), refused);
}

TEST_F(BadInput, ASessionGoesOnAfterAnUnknownQueueAndMayCreateIt) {
  const auto refused = Says(grpc::StatusCode::NOT_FOUND, "QUEUE_NOT_FOUND", "baton queue create nowhere");
  RawSession session(broker, 3);
  session.Subscribe(1, "nowhere");
  session.Publish("nowhere", 1, {"a"});
  session.Publish("orders", 2, {"b"});
  session.AwaitConfirmed(2);
  EXPECT_THAT(RefusedPublishes(session), ElementsAre(testing::Pair(1u, refused)));
  ASSERT_THAT(session.subscribed(), SizeIs(1));
  EXPECT_THAT(RefusalOf(session.subscribed()[0].error()), refused);

  broker.CreateQueue("nowhere");
  session.Subscribe(1, "nowhere");
  session.Publish("nowhere", 1, {"a"});  // was never accepted, so it is no duplicate
  EXPECT_EQ(session.AwaitDeliveries(1)[0].body, "a");
  EXPECT_THAT(Drain("orders"), ElementsAre("b"));
}

// ---- Leases.

TEST_F(BadInput, AnAckOfALostLeaseIsRefusedAndChangesNothing) {
  broker.Publish("orders", {"a"});
  const auto lost = Says(grpc::StatusCode::FAILED_PRECONDITION, "LEASE_LOST",
                         "was delivered again, moved or expired", "nothing was changed");
  RawSession slow(broker);
  v1::ClientFrame frame;
  frame.add_subscribe()->set_subscription(1);
  frame.mutable_subscribe(0)->set_queue("orders");
  frame.mutable_subscribe(0)->set_lease_ms(100);
  frame.mutable_subscribe(0)->set_credit_messages(1);
  slow.Send(frame);
  slow.AwaitDeliveries(1);
  const auto again = broker.Receive("orders", 1, seconds(20));  // once the lease has ended
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].attempt(), 2u);

  slow.Settle(v1::Settle::ACK, {1, 0});
  slow.AwaitSettled(1);
  ASSERT_THAT(slow.settle_errors(), SizeIs(1));
  EXPECT_EQ(slow.settle_errors()[0].tag(), 1u);
  EXPECT_THAT(RefusalOf(slow.settle_errors()[0].error()), lost);
  EXPECT_EQ(broker.GetQueue("orders").counts().leased(), 1u);
  EXPECT_FALSE(Ack({again[0].token()})[0].has_error());

  slow.Publish("orders", 1, {"b"});  // the session goes on
  EXPECT_EQ(slow.AwaitDeliveries(2)[1].body, "b");
}

TEST_F(BadInput, ATokenOfALostLeaseIsRefusedAndChangesNothing) {
  broker.Publish("orders", {"a"});
  v1::ReceiveRequest request;
  request.set_queue("orders");
  request.set_lease_ms(100);
  v1::ReceiveResponse first;
  ASSERT_TRUE(broker.broker().Receive(PatientContext().get(), request, &first).ok());
  ASSERT_EQ(first.messages_size(), 1);
  const auto second = broker.Receive("orders", 1, seconds(20));  // once the lease has ended
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_THAT(RefusalOf(Ack({first.messages(0).token()})[0].error()),
              Says(grpc::StatusCode::FAILED_PRECONDITION, "LEASE_LOST",
                   "was delivered again, moved or expired", "nothing was changed"));
  EXPECT_EQ(broker.GetQueue("orders").counts().leased(), 1u);
  EXPECT_FALSE(Ack({second[0].token()})[0].has_error());
}

TEST_F(BadInput, AnAckTwiceIsRefusedTheSecondTimeAndTheSessionGoesOn) {
  RawSession session(broker, 3);
  session.Subscribe(1, "orders");
  session.Publish("orders", 1, {"a", "b"});
  session.AwaitDeliveries(2);
  session.Settle(v1::Settle::ACK, {1, 0});
  session.Settle(v1::Settle::ACK, {1, 1});  // the first of them again
  session.AwaitSettled(2);
  ASSERT_THAT(session.settle_errors(), SizeIs(1));
  EXPECT_EQ(session.settle_errors()[0].settlement(), 2u);
  EXPECT_EQ(session.settle_errors()[0].tag(), 1u);
  EXPECT_THAT(RefusalOf(session.settle_errors()[0].error()),
              Says(grpc::StatusCode::FAILED_PRECONDITION, "ALREADY_SETTLED", "this tag was settled before"));
  EXPECT_EQ(broker.GetQueue("orders").counts().acked(), 2u);
  session.Publish("orders", 3, {"c"});
  EXPECT_EQ(session.AwaitDeliveries(3)[2].body, "c");
}

TEST_F(BadInput, ATokenTwiceOrUnknownIsAnsweredForItself) {
  broker.Publish("orders", {"a", "b"});
  const auto received = broker.Receive("orders", 2);
  ASSERT_THAT(received, SizeIs(2));
  const auto results = Ack({received[0].token(), received[0].token(), "no token", "", received[1].token()});
  EXPECT_FALSE(results[0].has_error());
  EXPECT_THAT(RefusalOf(results[1].error()),
              Says(grpc::StatusCode::NOT_FOUND, "MESSAGE_NOT_FOUND", "is gone", "settled before"));
  for (const int index : {2, 3}) {
    EXPECT_THAT(RefusalOf(results[index].error()),
                Says(grpc::StatusCode::INVALID_ARGUMENT, "TOKEN_INVALID", "not a token that this broker gave",
                     "use the one of the delivery, unchanged"));
  }
  EXPECT_FALSE(results[4].has_error());
  EXPECT_EQ(broker.GetQueue("orders").counts().acked(), 2u);
}

// ---- Ranges.

TEST_F(BadInput, TimesOutOfRangeAreRefusedOneByOne) {
  const auto code = grpc::StatusCode::INVALID_ARGUMENT;
  const uint64_t never = std::numeric_limits<uint64_t>::max();
  v1::PublishRequest request;
  request.set_queue("orders");
  request.add_messages()->set_ttl_ms(kTenYearsMs);
  request.add_messages()->set_ttl_ms(kTenYearsMs + 1);
  request.add_messages()->set_delay_ms(kTenYearsMs);
  request.add_messages()->set_delay_ms(never);
  request.add_messages()->set_body("ready");
  const auto results = Publish(request);
  EXPECT_FALSE(results[0].has_error());
  EXPECT_THAT(RefusalOf(results[1].error()),
              Says(code, "OUT_OF_RANGE", "the TTL is 315360000001 ms", "it must be"));
  EXPECT_FALSE(results[2].has_error());
  EXPECT_THAT(RefusalOf(results[3].error()),
              Says(code, "OUT_OF_RANGE", "the delay is 18446744073709551615 ms", "it must be"));
  EXPECT_FALSE(results[4].has_error());

  RawSession session(broker, 3);
  session.Send(Batch("orders", 1, {"a", "b", "c"}, [&](v1::PublishBatch& batch) {
    for (const uint64_t ttl : {uint64_t{0}, never, kTenYearsMs}) batch.add_ttl_ms(ttl);
    for (const uint64_t delay : {kTenYearsMs + 1, uint64_t{0}, uint64_t{0}}) batch.add_delay_ms(delay);
  }));
  session.AwaitConfirmed(3);
  EXPECT_THAT(RefusedPublishes(session),
              testing::UnorderedElementsAre(testing::Pair(1u, Says(code, "OUT_OF_RANGE", "the delay is")),
                                            testing::Pair(2u, Says(code, "OUT_OF_RANGE", "the TTL is"))));
  const v1::Queue queue = broker.GetQueue("orders");
  EXPECT_EQ(queue.counts().ready(), 3u);
  EXPECT_EQ(queue.counts().delayed(), 1u);
}

TEST_F(BadInput, LeasesAndCreditOutOfRangeAreRefused) {
  const auto code = grpc::StatusCode::INVALID_ARGUMENT;
  broker.Publish("orders", {"a"});
  for (const uint64_t lease_ms : {uint64_t{1}, uint64_t{99}, uint64_t{12} * 3600 * 1000 + 1}) {
    v1::ReceiveRequest receive;
    receive.set_queue("orders");
    receive.set_lease_ms(lease_ms);
    EXPECT_THAT(Call(&v1::Broker::Stub::Receive, receive),
                Says(code, "OUT_OF_RANGE", "the lease is", "it must be"));
    v1::ExtendRequest extend;
    extend.add_tokens("t");
    extend.set_lease_ms(lease_ms);
    EXPECT_THAT(Call(&v1::Broker::Stub::Extend, extend),
                Says(code, "OUT_OF_RANGE", "the lease is", "it must be"));
  }
  RawSession session(broker);
  v1::ClientFrame frame;
  for (int i = 1; i <= 3; ++i) {
    v1::Subscribe* subscribe = frame.add_subscribe();
    subscribe->set_subscription(static_cast<uint64_t>(i));
    subscribe->set_queue("orders");
    subscribe->set_credit_messages(i == 1 ? 0 : i == 2 ? 65'537 : 1);
    if (i == 3) subscribe->set_lease_ms(99);
  }
  session.Send(frame);
  session.AwaitFrame([&] { return session.subscribed().size() == 3; });
  EXPECT_THAT(RefusalOf(session.subscribed()[0].error()),
              Says(code, "OUT_OF_RANGE", "0 messages", "1 to 65536"));
  EXPECT_THAT(RefusalOf(session.subscribed()[1].error()),
              Says(code, "OUT_OF_RANGE", "65537 messages", "1 to 65536"));
  EXPECT_THAT(RefusalOf(session.subscribed()[2].error()), Says(code, "OUT_OF_RANGE", "the lease is 99 ms"));
  session.Subscribe(1, "orders");
  EXPECT_EQ(session.AwaitDeliveries(1)[0].attempt, 1u);
}

TEST_F(BadInput, ASettlementOutOfRangeEndsTheSessionAndItsLeasesGoBack) {
  broker.Publish("orders", {"a"});
  const std::vector<std::pair<std::function<void(v1::Settle*)>, std::string>> wrongs = {
      {[](v1::Settle* settle) { settle->set_delay_ms(kTenYearsMs + 1); }, "the delay is 315360000001 ms"},
      {[](v1::Settle* settle) { settle->set_lease_ms(99); }, "the lease is 99 ms"},
      {[](v1::Settle* settle) { settle->set_reason(std::string(257, 'r')); }, "at most 256 are allowed"},
      {[](v1::Settle* settle) { settle->add_tags(3); }, "Settle.tags must be pairs"},
      {[](v1::Settle* settle) { settle->set_kind(v1::Settle::KIND_UNSPECIFIED); }, "Settle.kind 0"}};
  uint32_t attempt = 0;
  for (const auto& [change, words] : wrongs) {
    RawSession session(broker);
    session.Subscribe(1, "orders");
    EXPECT_EQ(session.AwaitDeliveries(1)[0].attempt, ++attempt);  // of the session before: it came at once
    v1::ClientFrame frame;
    frame.add_settle()->set_kind(v1::Settle::NACK);
    frame.mutable_settle(0)->add_tags(1);
    frame.mutable_settle(0)->add_tags(0);
    change(frame.mutable_settle(0));
    session.Send(frame);
    const auto refused =
        Says(grpc::StatusCode::INVALID_ARGUMENT, "PROTOCOL_VIOLATION", words, "the session ends");
    EXPECT_THAT(RefusalOf(session.AwaitGoAway().error()), refused);
    EXPECT_THAT(RefusalOf(session.Finish()), refused);
  }
  EXPECT_EQ(broker.Receive("orders", 1, seconds(20)).size(), 1u);
}

// Priorities are 32 bits on the wire, so none is out of range: the whole range is in order.
TEST_F(BadInput, EveryPriorityIsInRange) {
  v1::PublishRequest request;
  request.set_queue("orders");
  for (const uint32_t priority : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
    v1::NewMessage* message = request.add_messages();
    message->set_priority(priority);
    message->set_body(std::to_string(priority));
  }
  Publish(request);
  EXPECT_THAT(Drain("orders"), ElementsAre("4294967295", "2147483648", "2147483647", "1", "0"));
}

// ---- Administration.

TEST_F(BadInput, QueuePropertiesOutOfRangeAreNamedAndChangeNothing) {
  const auto code = grpc::StatusCode::INVALID_ARGUMENT;
  const std::vector<std::pair<std::function<void(v1::QueueConfig*)>, std::string>> wrongs = {
      {[](v1::QueueConfig* config) { config->set_lease_ms(99); }, "lease = 99 ms is out of range"},
      {[](v1::QueueConfig* config) { config->set_ttl_ms(kTenYearsMs + 1); }, "ttl_ms is 315360000001 ms"},
      {[](v1::QueueConfig* config) { config->set_backoff_ms(kTenYearsMs + 1); }, "backoff_ms is"},
      {[](v1::QueueConfig* config) { config->set_attempts_max(1'000'001); },
       "attempts_max = 1000001 is out of range"},
      {[](v1::QueueConfig* config) { config->set_durability(static_cast<v1::Durability>(4)); },
       "durability is 4"},
      {[](v1::QueueConfig* config) { config->set_overflow(v1::OVERFLOW_POLICY_UNSPECIFIED); },
       "overflow is 0"},
      {[](v1::QueueConfig* config) { config->set_dead_letter_queue("orders"); },
       "cannot be its own dead-letter queue"}};
  const v1::Queue before = broker.GetQueue("orders");
  for (const auto& [change, words] : wrongs) {
    v1::UpdateQueueRequest update;
    update.set_name("orders");
    update.mutable_config()->set_messages_max(7);  // good, and not carried out in part
    change(update.mutable_config());
    EXPECT_THAT(Administer(&v1::Admin::Stub::UpdateQueue, update), Says(code, "QUEUE_CONFIG_INVALID", words));
  }
  v1::UpdateQueueRequest update;
  update.set_name("orders");
  update.mutable_config()->set_dead_letter_queue("graveyard");
  EXPECT_THAT(Administer(&v1::Admin::Stub::UpdateQueue, update),
              Says(grpc::StatusCode::FAILED_PRECONDITION, "QUEUE_NOT_FOUND", "graveyard does not exist",
                   "baton queue create graveyard"));
  update.mutable_config()->set_dead_letter_queue("grave yard");
  EXPECT_THAT(Administer(&v1::Admin::Stub::UpdateQueue, update),
              Says(code, "QUEUE_NAME_INVALID", "1 to 128"));
  EXPECT_EQ(broker.GetQueue("orders").config().SerializeAsString(), before.config().SerializeAsString());
}

TEST_F(BadInput, MessageIdsThatAreNoneAreRefusedWhateverTheyHold) {
  const std::string no_ascii = [] {
    std::string text = "x";
    for (int i = 0; i < 100; ++i) text += "\xc3\xb6";
    return text;
  }();
  for (const std::string& id : {std::string(), std::string("xyz"), std::string(40, '0'), no_ascii}) {
    v1::GetMessageRequest get;
    get.set_message_id(id);
    v1::DeleteMessageRequest remove;
    remove.set_message_id(id);
    const auto refused = Says(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_ARGUMENT", "not a message id",
                              "39 characters of 0-9 a-v");
    EXPECT_THAT(Administer(&v1::Admin::Stub::GetMessage, get), refused);
    EXPECT_THAT(Administer(&v1::Admin::Stub::DeleteMessage, remove), refused);
  }
}

}  // namespace
}  // namespace baton

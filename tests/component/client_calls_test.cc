// Unary calls whose answer is lost: what is repeated, and what the caller is told of the rest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/limits.h"
#include "baton/client.h"
#include "server/grpc/grpc_status.h"
#include "tests/support/scripted_broker.h"

namespace baton {
namespace {

using testing::SizeIs;

// gRPC looks at idle sockets every five seconds by itself, which would hide a client that does not.
class NoBackupPoller : public testing::Environment {
 public:
  void SetUp() override { ::setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "0", 1); }
};
const auto* const kNoBackupPoller = testing::AddGlobalTestEnvironment(new NoBackupPoller);

// As gRPC says it when the connection ends before the answer: there are no details, and the words are its
// own.
grpc::Status LostOnTheWay() { return {grpc::StatusCode::UNAVAILABLE, "Broken pipe"}; }

// So that the client's last call was long ago: what has just answered is taken to be there still.
void LetAWhilePass() {
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(110)) std::this_thread::yield();
}

class ClientCalls : public testing::Test {
 protected:
  void SetUp() override {
    broker_.on_publish = [this](const v1::PublishRequest& request, v1::PublishResponse* response) {
      const bool lost = [&] {
        const std::lock_guard<std::mutex> lock(mutex_);
        publishes_.push_back(request);
        return publishes_.size() <= answers_lost_;
      }();
      for (int i = 0; i < request.messages_size(); ++i) response->add_results()->set_durability(v1::DURABLE);
      return lost ? LostOnTheWay() : grpc::Status::OK;
    };
    auto connected = Client::Connect({.url = broker_.url()});
    ASSERT_TRUE(connected.ok()) << connected.status();
    client_.emplace(*std::move(connected));
  }

  absl::Status Publish(size_t count) {
    const std::vector<Message> messages(count, Message{.body = "x"});
    const auto results = client_->Publish("orders", messages);
    if (!results.ok()) return results.status();
    EXPECT_THAT(*results, SizeIs(count));
    return absl::OkStatus();
  }

  ScriptedBroker broker_;
  std::optional<Client> client_;
  std::mutex mutex_;
  size_t answers_lost_ = 0;                    // of the first publishes
  std::vector<v1::PublishRequest> publishes_;  // guarded by mutex_
};

TEST_F(ClientCalls, APublishWhoseAnswerIsLostIsRepeatedUnderTheSameName) {
  answers_lost_ = 1;
  EXPECT_TRUE(Publish(3).ok());
  ASSERT_THAT(publishes_, SizeIs(2));
  EXPECT_NE(publishes_[0].producer_id(), 0u);
  EXPECT_EQ(publishes_[0].first_sequence(), 1u);
  EXPECT_EQ(publishes_[0].SerializeAsString(), publishes_[1].SerializeAsString());

  EXPECT_TRUE(Publish(1).ok());
  ASSERT_THAT(publishes_, SizeIs(3));
  EXPECT_EQ(publishes_[2].producer_id(), publishes_[0].producer_id());
  EXPECT_EQ(publishes_[2].first_sequence(), 4u);
}

TEST_F(ClientCalls, APublishWhoseAnswersAreAllLostSaysThatItMayBeStored) {
  answers_lost_ = 2;
  const absl::Status status = Publish(1);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(status), "ANSWER_LOST");
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("may or may not have been carried out"));
  EXPECT_THAT(publishes_, SizeIs(2));
}

// The second attempt met a full disk, or a broker about to stop: the first may have been stored.
TEST_F(ClientCalls, ARefusalAfterALostAnswerSaysThatItMayBeStored) {
  broker_.on_publish = [this](const v1::PublishRequest& request, v1::PublishResponse*) {
    publishes_.push_back(request);
    return publishes_.size() == 1
               ? LostOnTheWay()
               : ToGrpcStatus(MakeError(absl::StatusCode::kInvalidArgument, reason::kOutOfRange, "no"));
  };
  const absl::Status status = Publish(1);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(status), "ANSWER_LOST");
  EXPECT_THAT(publishes_, SizeIs(2));
}

// A named call is all or nothing; what the library promises is an answer for each message.
TEST_F(ClientCalls, APublishRefusedAsAWholeIsAskedMessageByMessage) {
  for (const auto& refusal :
       {MakeError(absl::StatusCode::kInvalidArgument, reason::kBodyTooLarge, "message 2: too large"),
        MakeError(absl::StatusCode::kResourceExhausted, reason::kProducerLimit, "too many names")}) {
    publishes_.clear();
    broker_.on_publish = [&](const v1::PublishRequest& request, v1::PublishResponse* response) {
      publishes_.push_back(request);
      if (request.producer_id() != 0) return ToGrpcStatus(refusal);
      for (int i = 0; i < request.messages_size(); ++i) response->add_results()->set_durability(v1::DURABLE);
      return grpc::Status::OK;
    };
    EXPECT_TRUE(Publish(3).ok());
    ASSERT_THAT(publishes_, SizeIs(2));
    EXPECT_EQ(publishes_[1].first_sequence(), 0u);
  }
}

TEST_F(ClientCalls, APublishOfMoreThanTheBrokerRemembersIsNotRepeated) {
  answers_lost_ = 1;
  EXPECT_EQ(ReasonOf(Publish(kProducerWindow + 1)), "ANSWER_LOST");
  ASSERT_THAT(publishes_, SizeIs(1));
  EXPECT_EQ(publishes_[0].producer_id(), 0u);

  EXPECT_TRUE(Publish(kProducerWindow).ok());
  EXPECT_NE(publishes_[1].producer_id(), 0u);
}

// The broker remembers 1,024 sequences behind the highest: those of a slow call must not be among them.
TEST_F(ClientCalls, PublishesAtTheSameTimeHaveDifferentProducers) {
  std::promise<void> second_came;
  broker_.on_publish = [&](const v1::PublishRequest& request, v1::PublishResponse* response) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      publishes_.push_back(request);
    }
    response->add_results()->set_durability(v1::DURABLE);
    if (request.messages(0).body() == "first") {
      EXPECT_EQ(second_came.get_future().wait_for(kPatience), std::future_status::ready);
    } else {
      second_came.set_value();
    }
    return grpc::Status::OK;
  };
  const auto publish = [this](const std::string& body) {
    const Message message{.body = body};
    return client_->Publish("orders", std::span(&message, 1)).status();
  };
  auto first = std::async(std::launch::async, publish, "first");
  const auto came = [this] {
    const std::lock_guard<std::mutex> lock(mutex_);
    return publishes_.size();
  };
  while (came() == 0) std::this_thread::yield();
  EXPECT_TRUE(publish("second").ok());
  EXPECT_TRUE(first.get().ok());
  EXPECT_NE(publishes_[0].producer_id(), publishes_[1].producer_id());
}

TEST_F(ClientCalls, AQuestionWhoseAnswerIsLostIsAskedAgain) {
  int asked = 0;
  broker_.on_get_queue = [&](const v1::GetQueueRequest&, v1::Queue* queue) {
    queue->set_name("orders");
    return ++asked == 1 ? LostOnTheWay() : grpc::Status::OK;
  };
  EXPECT_TRUE(client_->GetQueue("orders").ok());
  EXPECT_EQ(asked, 2);
}

// Its second answer would be that the message is gone, which tells nothing about the first.
TEST_F(ClientCalls, AnAckWhoseAnswerIsLostIsNotRepeated) {
  int acks = 0;
  broker_.on_ack = [&](const v1::AckRequest&, v1::SettleResponse*) {
    ++acks;
    return LostOnTheWay();
  };
  const std::vector<std::string> tokens = {"token"};
  const auto statuses = client_->Ack(tokens);
  EXPECT_EQ(statuses.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonOf(statuses.status()), "ANSWER_LOST");
  EXPECT_EQ(acks, 1);
}

TEST_F(ClientCalls, WhatTheBrokerRefusesIsNotRepeated) {
  broker_.on_publish = [this](const v1::PublishRequest& request, v1::PublishResponse*) {
    publishes_.push_back(request);
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "no room");
  };
  EXPECT_EQ(Publish(1).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(publishes_, SizeIs(1));
}

// The client learns of it before it calls: what must not be repeated is not sent over the old connection.
TEST_F(ClientCalls, ABrokerThatWasStartedAgainMeanwhileIsMetByANewConnection) {
  int acks = 0;
  broker_.on_ack = [&](const v1::AckRequest&, v1::SettleResponse* response) {
    ++acks;
    response->add_results();
    return grpc::Status::OK;
  };
  const std::vector<std::string> tokens = {"token"};
  for (int round = 1; round <= 5; ++round) {
    broker_.Kill();
    broker_.Start();
    LetAWhilePass();
    const auto statuses = client_->Ack(tokens);
    EXPECT_TRUE(statuses.ok()) << statuses.status();
    EXPECT_EQ(acks, round);
  }
}

TEST_F(ClientCalls, WithoutABrokerNothingWasSent) {
  broker_.Kill();
  LetAWhilePass();
  EXPECT_EQ(ReasonOf(Publish(1)), "BROKER_UNREACHABLE");
  const std::vector<std::string> tokens = {"token"};
  EXPECT_EQ(ReasonOf(client_->Ack(tokens).status()), "BROKER_UNREACHABLE");
}

}  // namespace
}  // namespace baton

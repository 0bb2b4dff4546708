// Requests of every unary call, made from an input: good ones, changed a little. What answers held (ids,
// tokens, page tokens) goes into later requests, so that they come past the first check.
#pragma once

#include <string>
#include <vector>

#include "baton/v1/admin.pb.h"
#include "baton/v1/broker.pb.h"
#include "baton/v1/session.pb.h"
#include "tests/stress/fuzz_driver.h"

namespace baton {

class FuzzRequests {
 public:
  static constexpr const char* kQueues[] = {"disk", "memory", "letters", "limited", "nowhere"};

  // Makes the next request and gives it to `caller`, whose Call(request, response) is true when it was
  // answered with OK.
  template <class Caller>
  void MakeOne(FuzzInput& input, Caller& caller);
  // The queues that requests name.
  template <class Caller>
  void CreateQueues(Caller& caller);

  v1::ClientFrame Frame(FuzzInput& input);

 private:
  static constexpr size_t kKeptMax = 64;

  std::string Queue(FuzzInput& input) const { return kQueues[input.Upto(std::size(kQueues) - 1)]; }
  // Something that an answer held, or something made up.
  static std::string OneOf(const std::vector<std::string>& known, FuzzInput& input);
  static void Keep(std::vector<std::string>& known, const std::string& text);
  // Changes fields at random, or nothing: what the input says.
  void Spoil(google::protobuf::Message& request, FuzzInput& input) const;
  void SpoilField(google::protobuf::Message& message, FuzzInput& input) const;
  std::string Text(FuzzInput& input) const;

  v1::QueueConfig Config(FuzzInput& input) const;
  v1::PublishRequest Publish(FuzzInput& input) const;
  v1::PublishBatch Batch(FuzzInput& input);
  template <class Request>
  Request Settle(FuzzInput& input) const;
  void Learn(const v1::ReceiveResponse& response);
  void Learn(const v1::PublishResponse& response);
  void Learn(const v1::ListMessagesResponse& response);
  template <class Response>
  void Learn(const Response& /*response*/) {}

  template <class Response, class Request, class Caller>
  void Ask(Request request, FuzzInput& input, Caller& caller) {
    Spoil(request, input);
    Response response;
    if (caller.Call(request, response)) Learn(response);
  }

  std::vector<std::string> ids_;
  std::vector<std::string> tokens_;
  std::vector<std::string> pages_;
  uint64_t sequence_ = 1;
};

template <class Request>
Request FuzzRequests::Settle(FuzzInput& input) const {
  Request request;
  for (uint64_t count = 1 + input.Upto(3); count > 0; --count) request.add_tokens(OneOf(tokens_, input));
  return request;
}

template <class Caller>
void FuzzRequests::CreateQueues(Caller& caller) {
  for (const std::string name : {"letters", "disk", "memory", "limited"}) {
    v1::CreateQueueRequest request;
    request.set_name(name);
    if (name == "memory") request.mutable_config()->set_durability(v1::MEMORY);
    if (name == "disk") request.mutable_config()->set_dead_letter_queue("letters");
    if (name == "limited") {
      request.mutable_config()->set_messages_max(3);
      request.mutable_config()->set_overflow(v1::DROP_OLDEST);
    }
    v1::Queue response;
    caller.Call(request, response);
  }
}

template <class Caller>
void FuzzRequests::MakeOne(FuzzInput& input, Caller& caller) {
  switch (input.Upto(17)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return Ask<v1::PublishResponse>(Publish(input), input, caller);
    case 4:
    case 5:
    case 6: {
      v1::ReceiveRequest request;
      request.set_queue(Queue(input));
      request.set_messages_max(static_cast<uint32_t>(input.Upto(5)));
      request.set_lease_ms(input.Upto(1) * 1'000);
      return Ask<v1::ReceiveResponse>(std::move(request), input, caller);
    }
    case 7:
      return Ask<v1::SettleResponse>(Settle<v1::AckRequest>(input), input, caller);
    case 8: {
      auto request = Settle<v1::NackRequest>(input);
      if (input.Upto(1) == 0) request.set_delay_ms(input.Upto(3'000));
      request.set_dead_letter(input.Upto(3) == 0);
      return Ask<v1::SettleResponse>(std::move(request), input, caller);
    }
    case 9:
      if (input.Upto(1) == 0)
        return Ask<v1::SettleResponse>(Settle<v1::ReleaseRequest>(input), input, caller);
      return Ask<v1::SettleResponse>(Settle<v1::ExtendRequest>(input), input, caller);
    case 10: {
      v1::CreateQueueRequest request;
      request.set_name(input.Upto(1) == 0 ? Queue(input) : Text(input));
      *request.mutable_config() = Config(input);
      return Ask<v1::Queue>(std::move(request), input, caller);
    }
    case 11: {
      v1::UpdateQueueRequest request;
      request.set_name(Queue(input));
      *request.mutable_config() = Config(input);
      if (input.Upto(2) == 0) request.set_paused(input.Upto(1) == 0);
      return Ask<v1::Queue>(std::move(request), input, caller);
    }
    case 12: {
      if (input.Upto(3) != 0) {
        v1::PurgeQueueRequest request;
        request.set_name(Queue(input));
        return Ask<v1::PurgeQueueResponse>(std::move(request), input, caller);
      }
      v1::DeleteQueueRequest request;
      request.set_name(Queue(input));
      return Ask<v1::DeleteQueueResponse>(std::move(request), input, caller);
    }
    case 13: {
      v1::ListQueuesRequest request;
      request.set_page_size(static_cast<uint32_t>(input.Upto(3)));
      request.set_page_token(input.Upto(1) == 0 ? Queue(input) : Text(input));
      return Ask<v1::ListQueuesResponse>(std::move(request), input, caller);
    }
    case 14:
    case 15: {
      v1::ListMessagesRequest request;
      request.set_queue(Queue(input));
      request.set_state(static_cast<v1::MessageState>(input.Upto(5)));
      request.set_page_size(static_cast<uint32_t>(input.Upto(4)));
      if (input.Upto(1) == 0) request.set_page_token(OneOf(pages_, input));
      return Ask<v1::ListMessagesResponse>(std::move(request), input, caller);
    }
    case 16: {
      v1::GetMessageRequest request;
      request.set_message_id(OneOf(ids_, input));
      return Ask<v1::Message>(std::move(request), input, caller);
    }
    default: {
      v1::DeleteMessageRequest request;
      request.set_message_id(OneOf(ids_, input));
      return Ask<v1::DeleteMessageResponse>(std::move(request), input, caller);
    }
  }
}

}  // namespace baton

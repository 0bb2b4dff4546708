#include "tests/stress/fuzz_requests.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

namespace baton {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

uint64_t Number(FuzzInput& input) {
  const uint64_t edges[] = {0, 1, 2, 100, 4'096, 65'536, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};
  const uint64_t kind = input.Upto(12);
  return kind < std::size(edges) ? edges[kind] - input.Upto(2) + 1 : input.Take<uint64_t>();
}

bool Flag(FuzzInput& input) { return input.Upto(1) == 0; }

void SetNumber(const Reflection& reflection, Message& message, const FieldDescriptor* field,
               FuzzInput& input) {
  const uint64_t number = Number(input);
  const bool many = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_UINT32: {
      const auto value = static_cast<uint32_t>(number);
      return many ? reflection.AddUInt32(&message, field, value)
                  : reflection.SetUInt32(&message, field, value);
    }
    case FieldDescriptor::CPPTYPE_UINT64:
      return many ? reflection.AddUInt64(&message, field, number)
                  : reflection.SetUInt64(&message, field, number);
    case FieldDescriptor::CPPTYPE_BOOL:
      return many ? reflection.AddBool(&message, field, Flag(input))
                  : reflection.SetBool(&message, field, Flag(input));
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto value = static_cast<int>(input.Upto(1) == 0 ? number : input.Upto(7));
      return many ? reflection.AddEnumValue(&message, field, value)
                  : reflection.SetEnumValue(&message, field, value);
    }
    default:
      return;
  }
}

}  // namespace

std::string FuzzRequests::OneOf(const std::vector<std::string>& known, FuzzInput& input) {
  if (known.empty() || input.Upto(7) == 0) return input.TakeBytes(input.Upto(50));
  std::string text = known[input.Upto(known.size() - 1)];
  switch (input.Upto(11)) {
    case 0:  // another one, still of the alphabet
      if (!text.empty()) text[input.Upto(text.size() - 1)] = "0123456789abcdef"[input.Upto(15)];
      break;
    case 1:
      text.resize(input.Upto(text.size()));
      break;
    case 2:
      text.append(input.Upto(80), Flag(input) ? '0' : 'f');
      break;
    default:
      break;
  }
  return text;
}

void FuzzRequests::Keep(std::vector<std::string>& known, const std::string& text) {
  if (text.empty()) return;
  if (known.size() >= kKeptMax) known.erase(known.begin());
  known.push_back(text);
}

std::string FuzzRequests::Text(FuzzInput& input) const {
  switch (input.Upto(6)) {
    case 0:
      return Queue(input);
    case 1:
      return OneOf(ids_, input);
    case 2:
      return OneOf(tokens_, input);
    case 3:
      return OneOf(pages_, input);
    case 4:
      return std::string(input.Upto(600), 'x');
    default: {
      std::string text = input.TakeBytes(input.Upto(20));
      for (char& c : text) c = static_cast<char>(c & 0x7f);  // proto3's strings are UTF-8
      return text;
    }
  }
}

void FuzzRequests::SpoilField(Message& message, FuzzInput& input) const {
  const auto* descriptor = message.GetDescriptor();
  if (descriptor->field_count() == 0) return;
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* field =
      descriptor->field(static_cast<int>(input.Upto(static_cast<uint64_t>(descriptor->field_count() - 1))));
  if (input.Upto(9) == 0) return reflection.ClearField(&message, field);
  const bool many = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: {
      const bool is_text = field->type() == FieldDescriptor::TYPE_STRING;
      std::string text = is_text ? Text(input) : input.TakeBytes(input.Upto(300));
      return many ? reflection.AddString(&message, field, std::move(text))
                  : reflection.SetString(&message, field, std::move(text));
    }
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const int size = many ? reflection.FieldSize(message, field) : 0;
      Message* part = nullptr;
      if (!many) {
        part = reflection.MutableMessage(&message, field);
      } else if (size == 0 || input.Upto(3) == 0) {
        part = reflection.AddMessage(&message, field);
      } else {
        part = reflection.MutableRepeatedMessage(
            &message, field, static_cast<int>(input.Upto(static_cast<uint64_t>(size - 1))));
      }
      return SpoilField(*part, input);
    }
    default:
      return SetNumber(reflection, message, field, input);
  }
}

void FuzzRequests::Spoil(Message& request, FuzzInput& input) const {
  if (input.Upto(2) != 0) return;
  for (uint64_t count = 1 + input.Upto(2); count > 0; --count) SpoilField(request, input);
}

v1::QueueConfig FuzzRequests::Config(FuzzInput& input) const {
  v1::QueueConfig config;
  for (uint64_t count = input.Upto(3); count > 0; --count) SpoilField(config, input);
  if (Flag(input)) config.set_dead_letter_queue(Queue(input));
  if (input.Upto(3) == 0) config.set_attempts_max(static_cast<uint32_t>(input.Upto(3)));
  return config;
}

v1::PublishRequest FuzzRequests::Publish(FuzzInput& input) const {
  v1::PublishRequest request;
  request.set_queue(Queue(input));
  for (uint64_t count = 1 + input.Upto(4); count > 0; --count) {
    v1::NewMessage* message = request.add_messages();
    message->set_body(input.TakeBytes(input.Upto(20)));
    if (input.Upto(3) == 0) message->set_priority(static_cast<uint32_t>(Number(input)));
    if (input.Upto(3) == 0) message->set_ttl_ms(input.Upto(2'000));
    if (input.Upto(3) == 0) message->set_delay_ms(input.Upto(2'000));
    if (input.Upto(7) == 0) message->mutable_headers()->add_headers()->set_name("h");
  }
  if (input.Upto(4) == 0) {
    request.set_producer_id(input.Upto(3));
    request.set_first_sequence(Flag(input) ? input.Upto(2'000) : Number(input));
  }
  return request;
}

v1::PublishBatch FuzzRequests::Batch(FuzzInput& input) {
  v1::PublishBatch batch;
  batch.set_queue(Queue(input));
  batch.set_first_sequence(sequence_);
  batch.set_want_ids(Flag(input));
  const uint64_t count = 1 + input.Upto(4);
  sequence_ += count;
  const bool has_ttl = input.Upto(3) == 0;
  const bool has_delay = input.Upto(3) == 0;
  for (uint64_t i = 0; i < count; ++i) {
    const std::string body = input.TakeBytes(input.Upto(20));
    batch.add_body_sizes(static_cast<uint32_t>(body.size()));
    batch.mutable_bodies()->append(body);
    if (has_ttl) batch.add_ttl_ms(input.Upto(2'000));
    if (has_delay) batch.add_delay_ms(input.Upto(2'000));
  }
  return batch;
}

v1::ClientFrame FuzzRequests::Frame(FuzzInput& input) {
  v1::ClientFrame frame;
  for (uint64_t parts = 1 + input.Upto(2); parts > 0; --parts) {
    switch (input.Upto(6)) {
      case 0: {
        v1::Subscribe* subscribe = frame.add_subscribe();
        subscribe->set_subscription(1 + input.Upto(3));
        subscribe->set_queue(Queue(input));
        subscribe->set_credit_messages(1 + static_cast<uint32_t>(input.Upto(5)));
        break;
      }
      case 1:
      case 2:
        *frame.add_publish() = Batch(input);
        break;
      case 3:
      case 4: {
        v1::Settle* settle = frame.add_settle();
        settle->set_kind(static_cast<v1::Settle::Kind>(1 + input.Upto(4)));
        settle->add_tags(1 + input.Upto(12));
        settle->add_tags(input.Upto(3));
        if (Flag(input)) settle->set_delay_ms(input.Upto(2'000));
        break;
      }
      case 5: {
        v1::Credit* credit = frame.add_credit();
        credit->set_subscription(1 + input.Upto(3));
        credit->set_messages(static_cast<uint32_t>(input.Upto(9)));
        break;
      }
      default:
        if (Flag(input)) frame.add_unsubscribe()->set_subscription(1 + input.Upto(3));
        break;
    }
  }
  Spoil(frame, input);
  return frame;
}

void FuzzRequests::Learn(const v1::ReceiveResponse& response) {
  for (const v1::ReceivedMessage& message : response.messages()) {
    Keep(tokens_, message.token());
    Keep(ids_, message.message_id());
  }
}

void FuzzRequests::Learn(const v1::PublishResponse& response) {
  for (const v1::PublishResult& result : response.results()) Keep(ids_, result.message_id());
}

void FuzzRequests::Learn(const v1::ListMessagesResponse& response) {
  Keep(pages_, response.next_page_token());
  for (const v1::Message& message : response.messages()) Keep(ids_, message.message_id());
}

}  // namespace baton

#include "tests/support/raw_frames.h"

namespace baton {

v1::ClientFrame HelloFrame(const std::string& client_name, uint64_t producer_id) {
  v1::ClientFrame frame;
  frame.mutable_hello()->set_protocol_version(1);
  frame.mutable_hello()->set_client_name(client_name);
  frame.mutable_hello()->set_producer_id(producer_id);
  return frame;
}

v1::ClientFrame SubscribeFrame(uint64_t subscription, const std::string& queue, uint32_t credit,
                               uint64_t credit_bytes) {
  v1::ClientFrame frame;
  v1::Subscribe* subscribe = frame.add_subscribe();
  subscribe->set_subscription(subscription);
  subscribe->set_queue(queue);
  subscribe->set_credit_messages(credit);
  subscribe->set_credit_bytes(credit_bytes);
  return frame;
}

v1::ClientFrame PublishFrame(const std::string& queue, uint64_t first_sequence,
                             const std::vector<std::string>& bodies) {
  v1::ClientFrame frame;
  v1::PublishBatch* batch = frame.add_publish();
  batch->set_queue(queue);
  batch->set_first_sequence(first_sequence);
  for (const std::string& body : bodies) {
    batch->add_body_sizes(static_cast<uint32_t>(body.size()));
    batch->mutable_bodies()->append(body);
  }
  return frame;
}

v1::ClientFrame SettleFrame(v1::Settle::Kind kind, const std::vector<uint64_t>& tag_pairs) {
  v1::ClientFrame frame;
  v1::Settle* settle = frame.add_settle();
  settle->set_kind(kind);
  for (const uint64_t value : tag_pairs) settle->add_tags(value);
  return frame;
}

}  // namespace baton

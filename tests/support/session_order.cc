#include "tests/support/session_order.h"

#include <algorithm>

#include "base/check.h"
#include "server/engine/message.h"

namespace baton {

void SessionOrder::SendsAck(ProducerId producer, Seq message) {
  for (const auto& [other, sent] : sent_) {
    if (other != producer && sent.acks.contains(message)) ambiguous_.insert(message);
  }
  Sent& sent = sent_[producer];
  sent.acks.try_emplace(message, sent.last);
}

void SessionOrder::OnArrow(Arrow arrow, const Message& message, Instant now) {
  next_->OnArrow(arrow, message, now);
  if (arrow == Arrow::kPublished && message.sequence != 0) {
    Sent& sent = sent_[message.producer];
    if (sent.again.contains(message.sequence)) return;
    BATON_CHECK_GT(message.sequence, sent.decided) << "something that was sent later was decided before";
    sent.decided = message.sequence;
  }
  if (arrow != Arrow::kAcked || ambiguous_.contains(message.id.seq)) return;
  for (auto& [producer, sent] : sent_) {
    const auto ack = sent.acks.find(message.id.seq);
    if (ack == sent.acks.end()) continue;
    checked_ += ack->second > 0 ? 1 : 0;
    sent.decided = std::max(sent.decided, ack->second);
    sent.acks.erase(ack);
  }
}

}  // namespace baton

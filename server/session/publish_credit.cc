#include "server/session/publish_credit.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"

namespace baton {

absl::Status PublishCredit::Take(uint64_t first_sequence, std::vector<uint32_t> sizes) {
  messages_ += sizes.size();
  for (const uint32_t size : sizes) bytes_ += size;
  const size_t count = sizes.size();
  batches_.push_back({.first = first_sequence, .sizes = std::move(sizes), .unanswered = count});
  const bool alone = messages_ == 1;
  if (messages_ <= limit_.messages && (bytes_ <= limit_.bytes || alone)) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kResourceExhausted, reason::kCreditExceeded,
      fmt::format("{} messages of {} bytes are published and not confirmed; the credit is {} messages of {} "
                  "bytes (HelloReply.publish_credit)",
                  messages_, bytes_, limit_.messages, limit_.bytes));
}

void PublishCredit::GiveBack(uint64_t first, uint64_t last) {
  for (uint64_t sequence = first; sequence <= last; ++sequence) {
    GiveBackOne(sequence);
    while (!batches_.empty() && batches_.front().unanswered == 0) batches_.pop_front();
  }
}

// Nearly always of the first batch. A sequence may be sent twice in one session, and the two may be answered
// in any order: each answer is for the earliest one that has none.
void PublishCredit::GiveBackOne(uint64_t sequence) {
  for (Batch& batch : batches_) {
    if (sequence < batch.first || sequence - batch.first >= batch.sizes.size()) continue;
    uint32_t& size = batch.sizes[sequence - batch.first];
    if (size == kAnswered) continue;
    --messages_;
    bytes_ -= size;
    --batch.unanswered;
    size = kAnswered;
    return;
  }
}

}  // namespace baton

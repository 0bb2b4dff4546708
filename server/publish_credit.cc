#include "server/publish_credit.h"

#include <fmt/format.h>

#include <algorithm>
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
  for (Batch& batch : batches_) {
    if (last < batch.first || first >= batch.first + batch.sizes.size()) continue;
    const uint64_t from = std::max(first, batch.first);
    const uint64_t to = std::min(last, batch.first + batch.sizes.size() - 1);
    for (uint64_t sequence = from; sequence <= to; ++sequence) {
      uint32_t& size = batch.sizes[sequence - batch.first];
      if (size == kAnswered) continue;  // sent twice in one session: the earlier one takes the earlier answer
      --messages_;
      bytes_ -= size;
      --batch.unanswered;
      size = kAnswered;
    }
    if (from == first && to == last) break;
  }
  while (!batches_.empty() && batches_.front().unanswered == 0) batches_.pop_front();
}

}  // namespace baton

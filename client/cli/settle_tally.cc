#include "client/cli/settle_tally.h"

#include <fmt/format.h>

#include <utility>

namespace baton::cli {

void SettleTally::Ack(Delivery& delivery) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ++counts_.unanswered;
  }
  delivery.Ack([this, bytes = delivery.body().size(),
                id = delivery.message_id()](const absl::Status& status) { AckAnswered(bytes, id, status); });
}

void SettleTally::Nack(Delivery& delivery, std::string reason) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ++counts_.unanswered;
  }
  delivery.Nack({.reason = std::move(reason)}, [this](const absl::Status& status) { NackAnswered(status); });
}

// A refusal means that it is given back already, or gone: nobody misses anything.
void SettleTally::Release(Delivery& delivery) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    ++counts_.released;
  }
  delivery.Release();
}

ConsumeCounts SettleTally::counts() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return counts_;
}

void SettleTally::AckAnswered(uint64_t bytes, const std::string& message_id, const absl::Status& status) {
  std::lock_guard<std::mutex> lock(mutex_);
  --counts_.unanswered;
  if (status.ok()) {
    ++counts_.acked;
    counts_.bytes += bytes;
  } else if (++counts_.acks_refused == 1) {
    counts_.first_refusal = fmt::format("{} (message {})", std::string(status.message()), message_id);
  }
}

void SettleTally::NackAnswered(const absl::Status& status) {
  std::lock_guard<std::mutex> lock(mutex_);
  --counts_.unanswered;
  ++(status.ok() ? counts_.nacked : counts_.nacks_refused);
}

}  // namespace baton::cli

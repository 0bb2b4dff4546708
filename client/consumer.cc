#include "baton/consumer.h"

#include <utility>

#include "client/mutex.h"
#include "client/session/consumer_core.h"

namespace baton {
inline namespace client_api {

using client::DeadlineAfter;

Consumer::Consumer(std::shared_ptr<client::ConsumerCore> core) : core_(std::move(core)) {}
Consumer::Consumer(Consumer&&) noexcept = default;

Consumer& Consumer::operator=(Consumer&& other) noexcept {
  std::swap(core_, other.core_);  // the old one stops when `other` goes
  return *this;
}

Consumer::~Consumer() {
  if (core_ == nullptr) return;
  if (core_->InForkedChild()) {
    // The threads and locks of the parent are not here: whatever this would wait for never comes.
    new std::shared_ptr<client::ConsumerCore>(std::move(core_));
    return;
  }
  Stop(std::chrono::seconds(5)).IgnoreError();
  core_->DetachHandlers();
}

absl::StatusOr<std::optional<Delivery>> Consumer::Receive(std::chrono::milliseconds timeout) {
  if (absl::Status forked = core_->CheckForked(); !forked.ok()) return forked;
  return core_->Receive(DeadlineAfter(timeout));
}

absl::Status Consumer::Stop(std::chrono::milliseconds timeout) {
  if (absl::Status forked = core_->CheckForked(); !forked.ok()) return forked;
  return core_->Stop(DeadlineAfter(timeout));
}

absl::Status Consumer::Flush(std::chrono::milliseconds timeout) {
  if (absl::Status forked = core_->CheckForked(); !forked.ok()) return forked;
  return core_->Flush(DeadlineAfter(timeout));
}

bool Consumer::WaitUntilEnded(std::chrono::milliseconds timeout) {
  return core_->CheckForked().ok() && core_->WaitUntilEnded(DeadlineAfter(timeout));
}

absl::Status Consumer::status() const {
  if (absl::Status forked = core_->CheckForked(); !forked.ok()) return forked;
  return core_->status();
}

ConsumerCounters Consumer::counters() const { return core_->counters(); }

}  // namespace client_api
}  // namespace baton

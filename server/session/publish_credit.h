// PublishCredit counts what a session has published and not been told of: sequence by sequence, because
// client and broker must agree to the byte. Only what the client has surely not heard of counts. THREADS: not
// synchronised; the carrier's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "absl/status/status.h"

namespace baton {

class PublishCredit {
 public:
  struct Limit {
    uint64_t messages = 0;
    uint64_t bytes = 0;
  };
  explicit PublishCredit(Limit limit) : limit_(limit) {}

  // A batch came: its first sequence, and each message's bytes of body and headers.
  // ERRORS: RESOURCE_EXHAUSTED (CREDIT_EXCEEDED) when it is more than was granted.
  absl::Status Take(uint64_t first_sequence, std::vector<uint32_t> sizes);
  // Sequences first..last were answered.
  void GiveBack(uint64_t first, uint64_t last);

  uint64_t messages() const { return messages_; }
  uint64_t bytes() const { return bytes_; }

 private:
  struct Batch {
    uint64_t first = 0;
    std::vector<uint32_t> sizes;
    size_t unanswered = 0;
  };
  static constexpr uint32_t kAnswered = UINT32_MAX;

  void GiveBackOne(uint64_t sequence);

  const Limit limit_;
  std::deque<Batch> batches_;  // in the order they came
  uint64_t messages_ = 0;
  uint64_t bytes_ = 0;
};

}  // namespace baton

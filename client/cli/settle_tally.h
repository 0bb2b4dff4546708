// What became of the messages that `baton consume` took. An ack counts when the broker has confirmed it.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "baton/delivery.h"

namespace baton::cli {

struct ConsumeCounts {
  uint64_t acked = 0;   // confirmed
  uint64_t nacked = 0;  // confirmed
  uint64_t released = 0;
  uint64_t bytes = 0;  // of the acked
  uint64_t acks_refused = 0;
  uint64_t nacks_refused = 0;
  uint64_t unanswered = 0;    // acks and nacks
  std::string first_refusal;  // of an ack
};

// THREADS: any. OWNERSHIP: must outlive the client, on whose thread the answers come.
class SettleTally {
 public:
  SettleTally() = default;
  SettleTally(const SettleTally&) = delete;
  SettleTally& operator=(const SettleTally&) = delete;

  void Ack(Delivery& delivery);
  void Nack(Delivery& delivery, std::string reason);
  void Release(Delivery& delivery);

  ConsumeCounts counts() const;

 private:
  void AckAnswered(uint64_t bytes, const std::string& message_id, const absl::Status& status);
  void NackAnswered(const absl::Status& status);

  mutable std::mutex mutex_;
  ConsumeCounts counts_;
};

}  // namespace baton::cli

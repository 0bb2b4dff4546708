// SessionOutbox gathers what the engine says to one session into ServerFrames, while the frame before is
// being written: batches form by themselves, and a lone result travels alone.
//
// Frames are closed at about kFrameBytes, so that one of them never holds up the stream; a larger message
// stands alone. A frame of a few bytes may ask for 65,536 answers that say no: those are kept as runs of tags
// and written out when they are taken. THREADS: the engine's thread appends, the carrier's takes, either
// ends; a leaf mutex guards it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/limits.h"
#include "base/mutex.h"
#include "baton/v1/session.pb.h"
#include "server/engine/outputs.h"

namespace baton {

class SessionOutbox {
 public:
  static constexpr size_t kFrameBytes = 256u << 10;
  static constexpr size_t kDeliveriesBytesMax = 8u << 20;

  // What all outboxes of a broker hold, in bytes; shared by them. THREADS: any.
  struct Total {
    std::atomic<size_t> bytes{0};  // a figure to be compared with a bound: relaxed, orders nothing
    size_t bytes_max = kOutboxBytesMax;
    bool IsFull() const { return bytes.load(std::memory_order_relaxed) >= bytes_max; }
    bool IsHalfFull() const { return bytes.load(std::memory_order_relaxed) >= bytes_max / 2; }
  };
  // `total` outlives the outbox.
  explicit SessionOutbox(Total* total) : total_(total) {}
  ~SessionOutbox();
  SessionOutbox(const SessionOutbox&) = delete;
  SessionOutbox& operator=(const SessionOutbox&) = delete;

  void Hello(v1::HelloReply reply);
  void Subscribed(SubscriptionId subscription, const absl::StatusOr<Duration>& lease);
  void SubscriptionEnded(SubscriptionId subscription, const absl::Status& why);
  void Deliver(const DeliveryView& delivery);
  // False, and deliveries are stopped: the session has its fill, or all of them together and this one a
  // frame.
  bool TakesDeliveries();
  // Deliveries were stopped, and there is room again; true once for each time.
  bool TakeResumed();
  void Confirm(const ConfirmRun& run);
  // When all outboxes together are full, and this one holds more than a frame's worth of refusals, the
  // session is sent away, and what waited for it is let go of.
  void Settled(uint64_t through, const std::vector<SettleFailure>& failures);
  // The last word: what is appended afterwards is dropped, and so is a second one. Says whether this was the
  // first.
  bool GoAway(const absl::Status& why, Duration retry_after);

  // How long a client may be about taking a frame of so many bytes. One that is slower ends: a byte now and
  // then would keep its share of the memory for ever.
  static constexpr std::chrono::seconds TakingTimeMax(size_t frame_bytes) {
    return kOutboxStallMax + std::chrono::seconds(frame_bytes / kOutboxPaceMin);
  }

  // Swaps the oldest frame into `frame`, which must be empty and whose memory is used again; false: there is
  // none. The one given before has been taken by the client: until then it counts.
  [[nodiscard]] bool Take(v1::ServerFrame& frame);

  // Too much waits to be taken to hear any more from the client: until it has taken some of it.
  bool IsFull() const;
  size_t bytes() const;    // waiting to be taken
  bool ended() const;      // GoAway was said
  void FreeSpareMemory();  // an idle session keeps nothing

 private:
  // Why tags first .. last of a settlement changed nothing.
  struct Refusal {
    uint64_t settlement = 0;
    uint64_t first_tag = 0;
    uint64_t last_tag = 0;
    absl::Status why;
  };
  struct Building {
    std::unique_ptr<v1::ServerFrame> frame;
    std::vector<Refusal> refusals;  // of `frame`, which does not have them yet
    size_t bytes = 0;               // that it holds
    size_t frame_bytes = 0;         // about, when it is taken
  };

  // The frame to append to; nullptr once ended.
  v1::ServerFrame* Open() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::ServerFrame* Begin() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Grow(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::SettleReply* OpenReply() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Refuse(const SettleFailure& failure) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool AllFull() const { return total_->IsFull(); }
  // However many sessions there are, each with its one frame.
  bool AllOver() const { return total_->bytes.load(std::memory_order_relaxed) >= 2 * total_->bytes_max; }
  void Lend(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LetGo() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool SendAway(const absl::Status& why, Duration retry_after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void WriteOut(const std::vector<Refusal>& refusals, v1::SettleReply* reply);
  // The Deliveries that `delivery` continues, or a new one.
  v1::Deliveries* Run(v1::ServerFrame* frame, const DeliveryView& delivery)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Total* const total_;
  mutable Mutex mutex_;
  std::deque<Building> frames_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<v1::ServerFrame>> spare_ ABSL_GUARDED_BY(mutex_);  // cleared
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t lent_ ABSL_GUARDED_BY(mutex_) = 0;  // of the frame that was given last, while the client takes it
  size_t refusals_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t settled_through_ ABSL_GUARDED_BY(mutex_) = 0;
  bool lent_is_fat_ ABSL_GUARDED_BY(mutex_) = false;  // the frame that was given last, and comes back
  bool deliveries_stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool greeted_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_tag_ ABSL_GUARDED_BY(mutex_) = 0;  // of the last run appended to
  DeliveryNumber last_number_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace baton

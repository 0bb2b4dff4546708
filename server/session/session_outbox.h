// SessionOutbox gathers what the engine says to one session into ServerFrames, while the frame before is
// being written: batches form by themselves, and a lone result travels alone.
//
// Frames are closed at about kFrameBytes, so that one of them never holds up the stream; a larger message
// stands alone. A frame may ask for thousands of answers that say no, each many times larger than what asked
// for it: those are kept as runs of tags and written out when they are taken. THREADS: the engine's thread
// appends, the carrier's takes, either ends; a leaf mutex guards it.
#pragma once

#include <algorithm>
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
  // That wait, behind the frame that is being written.
  static constexpr size_t kDeliveriesBytesMax = 1u << 20;

  // What all outboxes of a broker hold, in bytes, with the frames that are being written; shared by them.
  // THREADS: any.
  struct Total {
    std::atomic<size_t> bytes{0};
    size_t bytes_max = kOutboxBytesMax;
    bool IsFull() const { return bytes.load(std::memory_order_relaxed) >= bytes_max; }
    bool IsHalfFull() const { return bytes.load(std::memory_order_relaxed) >= bytes_max / 2; }
    // Deliveries wait for room that others hold. Set before the room is looked at once more, and looked at
    // after room was given back: one of the two sees the other.
    std::atomic<bool> awaited{false};

    // May one that holds `own` bytes have so many more? As many as are free besides: so one alone takes half,
    // and whoever comes late finds room.
    bool Grants(size_t own, size_t more) const {
      const size_t used = bytes.load();
      return own + more <= bytes_max - std::min(used, bytes_max);
    }
    // Room was given back that was waited for: whoever hears this tells the engine. True once.
    [[nodiscard]] bool TakeAwaited() { return awaited.load() && awaited.exchange(false); }
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
  // So many bytes more, counted before they are made. False, and deliveries are stopped: the session has its
  // fill, or there is no room for it beside the others.
  bool TakesDeliveries(size_t bytes);
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
  // none. It counts as held until the next call: by then it is written.
  [[nodiscard]] bool Take(v1::ServerFrame& frame);

  // Too much waits to be taken to hear any more from the client: until it has taken some of it.
  bool IsFull() const;
  size_t bytes() const;  // waiting to be taken
  // The client is gone: nothing is kept for it any more.
  void Abandon();
  bool ended() const;      // GoAway was said
  void FreeSpareMemory();  // an idle session keeps nothing

 private:
  struct Building {
    std::unique_ptr<v1::ServerFrame> frame;
    std::vector<SettleFailure> refusals;  // of `frame`, which does not have them yet
    size_t bytes = 0;                     // that it holds
    size_t frame_bytes = 0;               // about, when it is taken
  };

  // The frame to append to; nullptr once ended.
  v1::ServerFrame* Open() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::ServerFrame* Begin() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Grow(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  v1::SettleReply* OpenReply() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Refuse(const SettleFailure& failure) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool AllFull() const { return total_->IsFull(); }
  void LetGo() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool SendAway(const absl::Status& why, Duration retry_after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void WriteOut(const std::vector<SettleFailure>& refusals, v1::SettleReply* reply);
  // The Deliveries that `delivery` continues, or a new one.
  v1::Deliveries* Run(v1::ServerFrame* frame, const DeliveryView& delivery)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Total* const total_;
  mutable Mutex mutex_;
  std::deque<Building> frames_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<v1::ServerFrame>> spare_ ABSL_GUARDED_BY(mutex_);  // cleared
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t on_its_way_ ABSL_GUARDED_BY(mutex_) = 0;  // of the frame that was taken last
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

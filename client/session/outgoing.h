// What the session sends: gathers publishes, settlements and subscriptions into frames and writes them. What
// is in a frame is in the order in which frames are written, so whoever fills one also writes it, under one
// mutex.
//
// The session's thread sends. Where the transport lets any thread write, a lone message goes from the thread
// that published it: waking the session's would take longer than sending. When they come fast, the session's
// thread gathers them.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "baton/v1/session.pb.h"
#include "client/mutex.h"
#include "client/session/publish_window.h"
#include "client/session/settlements.h"
#include "client/session/subscriptions.h"
#include "client/transport/transport.h"

namespace baton::client {

class Outgoing {
 public:
  // All outlive this object.
  Outgoing(Transport* transport, PublishWindow* window, Settlements* settlements,
           Subscriptions* subscriptions);
  Outgoing(const Outgoing&) = delete;
  Outgoing& operator=(const Outgoing&) = delete;

  // There is something to send. Costs a load when the session is busy anyway. Any thread.
  void NotifyWork() {
    if (wake_for_work_.load(std::memory_order_relaxed) && wake_for_work_.exchange(false)) SendOrWake();
  }

  // For people. Any thread; does not wait for one that sends.
  std::string Describe() ABSL_LOCKS_EXCLUDED(mutex_);

  // --- session's thread ---

  // Sends a frame of what waits. True: there may be more to send at once.
  bool SendWhatWaits(SteadyTime now, bool may_subscribe) ABSL_LOCKS_EXCLUDED(mutex_);
  // A frame of its own. False: the transport cannot write now.
  [[nodiscard]] bool Say(const std::function<void(v1::ClientFrame&)>& fill) ABSL_LOCKS_EXCLUDED(mutex_);
  // The session is up, or not any more: other threads may send too.
  void SetUp(bool up) ABSL_LOCKS_EXCLUDED(mutex_);
  // The session's thread runs: nobody needs to wake it.
  void Awake() { wake_for_work_.store(false, std::memory_order_relaxed); }

 private:
  bool SendFrame(bool with_subscriptions, bool may_subscribe) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendOrWake() ABSL_LOCKS_EXCLUDED(mutex_);
  bool TrySendHere() ABSL_LOCKS_EXCLUDED(mutex_);

  Transport* const transport_;
  PublishWindow* const window_;
  Settlements* const settlements_;
  Subscriptions* const subscriptions_;

  std::atomic<bool> wake_for_work_{false};  // the session's thread is about to wait, and could send

  Mutex mutex_;
  v1::ClientFrame frame_ ABSL_GUARDED_BY(mutex_);  // kept for its memory
  bool up_ ABSL_GUARDED_BY(mutex_) = false;
  bool consumes_ ABSL_GUARDED_BY(mutex_) = false;  // has subscribed to something
  SteadyTime last_sent_ ABSL_GUARDED_BY(mutex_){};
};

}  // namespace baton::client

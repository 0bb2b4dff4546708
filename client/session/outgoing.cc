#include "client/session/outgoing.h"

#include <utility>

#include "client/session/short_slice.h"

namespace baton::client {
namespace {

// A message that comes this long after the one before is a lone one.
constexpr std::chrono::microseconds kLonePause{50};

}  // namespace

Outgoing::Outgoing(Transport* transport, PublishWindow* window, Settlements* settlements,
                   Subscriptions* subscriptions)
    : transport_(transport), window_(window), settlements_(settlements), subscriptions_(subscriptions) {}

bool Outgoing::SendWhatWaits(SteadyTime now, bool may_subscribe) {
  MutexLock lock(mutex_);
  if (!transport_->CanWrite()) return false;  // another thread has just written
  if (!SendFrame(true, may_subscribe)) return false;
  last_sent_ = now;
  return transport_->CanWrite();
}

// False: there is nothing to send.
bool Outgoing::SendFrame(bool with_subscriptions, bool may_subscribe) {
  // Set before looking: whoever adds something after the look sees it, because both take the same mutex, and
  // rings.
  wake_for_work_.store(true, std::memory_order_relaxed);
  frame_.Clear();
  if (with_subscriptions) subscriptions_->Fill(frame_, may_subscribe);
  // From now on this thread, the session's, is woken for messages that somebody waits for.
  if (frame_.subscribe_size() > 0 && !std::exchange(consumes_, true)) AskForShortSlices();
  settlements_->Fill(frame_);
  window_->Lend(frame_);
  const bool empty = frame_.subscribe_size() == 0 && frame_.unsubscribe_size() == 0 &&
                     frame_.settle_size() == 0 && frame_.publish_size() == 0;
  if (!empty) {
    Awake();
    transport_->Write(frame_);
  }
  PublishWindow::GiveBack(frame_);
  return !empty;
}

bool Outgoing::Say(const std::function<void(v1::ClientFrame&)>& fill) {
  MutexLock lock(mutex_);
  if (!transport_->CanWrite()) return false;
  frame_.Clear();
  fill(frame_);
  transport_->Write(frame_);
  return true;
}

void Outgoing::SetUp(bool up) {
  MutexLock lock(mutex_);
  up_ = up;
}

std::string Outgoing::Describe() {
  std::string sending = "another thread sends";
  if (mutex_.TryLock()) {
    sending = up_ ? "may send" : "may not send";
    sending += transport_->CanWrite() ? ", the transport takes a frame" : ", the transport takes none";
    mutex_.Unlock();
  }
  return "outgoing: " + sending +
         (wake_for_work_.load() ? "; wants to be woken" : "; awake, or already woken");
}

void Outgoing::SendOrWake() {
  if (!transport_->WritesFromAnyThread() || !TrySendHere()) transport_->Wake();
}

// False: the session's thread must be woken.
bool Outgoing::TrySendHere() {
  if (!mutex_.TryLock()) return false;
  const SteadyTime now = std::chrono::steady_clock::now();
  bool sent_all = false;
  if (up_ && now - last_sent_ >= kLonePause) {
    last_sent_ = now;
    sent_all = transport_->CanWrite();
    while (sent_all && SendFrame(false, false)) sent_all = transport_->CanWrite();
  }
  mutex_.Unlock();
  return sent_all;
}

}  // namespace baton::client

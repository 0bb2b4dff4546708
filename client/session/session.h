// The client's end of the session: one thread that connects, sends what waits, takes what comes, and connects
// again.
//
//            Start                 hello answered
//   down ───────────► opening ────────────────────► up ──► closing ──► (thread ends)
//    ▲ pause             │ lost, refused             │ lost, go-away
//    └───────────────────┴───────────────────────────┘        an error that connecting again cannot mend:
//    failed, for good
//
// Publishes, settlements and subscriptions are kept by their own classes; this one only moves frames between
// them and the transport. Application threads put work there and ring once.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "baton/client.h"
#include "baton/v1/session.pb.h"
#include "client/mutex.h"
#include "client/session/late_settler.h"
#include "client/session/outgoing.h"
#include "client/session/publish_window.h"
#include "client/session/settlements.h"
#include "client/session/subscriptions.h"
#include "client/transport/backoff.h"
#include "client/transport/fork_guard.h"
#include "client/transport/transport.h"

namespace baton::client {

struct SessionOptions {
  std::string url;  // for messages to people
  std::string client_name;
  uint64_t producer_id = 0;
  std::chrono::milliseconds reconnect_pause_max{2'000};
  std::function<void(ConnectionState, const absl::Status&)> on_connection;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(SessionOptions options, std::unique_ptr<Transport> transport, LateSettler::Calls late_calls);
  ~Session();

  void Start();

  // --- any thread ---

  PublishWindow& window() { return window_; }
  const ForkGuard& fork_guard() const { return fork_guard_; }
  bool OnOwnThread() const {
    return std::this_thread::get_id() == thread_id_.load(std::memory_order_relaxed);
  }

  void NotifyWork() { outgoing_.NotifyWork(); }
  void Settle(const Settlement& how, SettleEntry entry);

  uint64_t NewSubscriptionId() { return subscriptions_.NewId(); }
  void Subscribe(std::shared_ptr<ConsumerCore> consumer);
  void Unsubscribe(uint64_t subscription);
  void Forget(uint64_t subscription) { subscriptions_.Remove(subscription); }
  std::vector<std::shared_ptr<ConsumerCore>> consumers() { return subscriptions_.All(); }

  // For people: the link, and what each part waits for, a line each. Two of them, some time apart, show what
  // stands still.
  std::string Describe();

  // OK: the session is up now. ERRORS: what keeps it from being; at the deadline the last reason. BLOCKS.
  absl::Status WaitUntilUp(SteadyTime deadline);

  // Says goodbye, ends the thread, answers what is left with `error`. Idempotent. BLOCKS a tenth of a second
  // at most, when the broker does not answer, and for the user's code that runs on that thread.
  void Close(const absl::Status& error);

 private:
  enum class Link { kDown, kOpening, kUp, kClosing };

  void Run();
  bool RunTurn();  // false: the thread is done
  SteadyTime Deadline(SteadyTime now);
  void OnDeadline();
  void Connect();
  bool BeginClosing(SteadyTime now);
  void SendHello(SteadyTime now);
  void HandleFrame(v1::ServerFrame& frame);
  absl::Status HandleHello(const v1::ServerFrame& frame);
  absl::Status HandleContents(v1::ServerFrame& frame);
  void HandleSettled(const v1::ServerFrame& frame, absl::Status& status);
  void HandleClosed();
  void TakeLateAnswers(std::vector<Settlements::Answer> answers);  // any thread
  void RunLateAnswers();
  void RunAnswers(std::vector<Settlements::Answer>& answers);
  // Gives the connection up for the reason `why`, unless there is one already.
  void Drop(absl::Status why);
  void Fail(const absl::Status& error);
  void Publish(Link link, const absl::Status& error);  // for WaitUntilUp

  // Constant.
  const SessionOptions options_;
  const std::unique_ptr<Transport> transport_;  // Wake: any thread
  const ForkGuard fork_guard_;

  // Any thread.
  PublishWindow window_;
  Settlements settlements_;
  Subscriptions subscriptions_;
  LateSettler late_settler_;
  Outgoing outgoing_;
  std::atomic<std::thread::id> thread_id_{};
  std::atomic<uint64_t> turns_{0};       // of the session's thread
  std::atomic<Link> link_{Link::kDown};  // written by that thread

  // Session's thread.
  uint64_t connection_ = 0;  // counts those that came up; names the session for deliveries
  Epoch epoch_;
  Backoff backoff_;
  SteadyTime deadline_{};  // down: next attempt; opening: the hello's answer; closing: the broker's end
  SteadyTime up_since_{};
  SteadyTime
      subscribe_at_latest_{};  // until then late settlements go first, so that fewer messages come twice
  bool hello_sent_ = false;
  absl::Status drop_reason_;
  std::chrono::milliseconds retry_after_{0};
  std::vector<Settlements::Answer> answers_;

  Mutex mutex_;
  CondVar link_changed_;
  Link published_link_ ABSL_GUARDED_BY(mutex_) = Link::kDown;
  absl::Status last_error_ ABSL_GUARDED_BY(mutex_);  // of the last attempt
  absl::Status failed_ ABSL_GUARDED_BY(mutex_);      // for good
  bool close_requested_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;  // the thread runs nothing more
  std::vector<Settlements::Answer> late_answers_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace baton::client

#include "client/session/consumer_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "base/error.h"
#include "base/limits.h"
#include "base/queue_name.h"
#include "client/session/session.h"

namespace baton::client {
namespace {

constexpr int kHandlerThreadsMax = 1'024;

absl::Status Stopped() {
  return MakeError(absl::StatusCode::kFailedPrecondition, reason::kClientClosed, "the consumer was stopped");
}

// A reason longer than the broker takes is cut, so that a nack is not refused for it.
std::string CutReason(std::string reason) {
  if (reason.size() > kReasonBytesMax) reason.resize(kReasonBytesMax);
  return reason;
}

}  // namespace

absl::Status CheckConsumerOptions(const ConsumerOptions& options, bool has_handler) {
  if (absl::Status name = CheckQueueName(options.queue); !name.ok()) return name;
  if (has_handler && (options.handler_threads < 0 || options.handler_threads > kHandlerThreadsMax)) {
    return InvalidArgument(reason::kOutOfRange, fmt::format("handler_threads is {}; 0 to {} are allowed",
                                                            options.handler_threads, kHandlerThreadsMax));
  }
  if (options.credit > kCreditMessagesMax) {
    return InvalidArgument(reason::kOutOfRange, fmt::format("credit is {}; at most {} is allowed",
                                                            options.credit, kCreditMessagesMax));
  }
  if (options.lease.count() != 0 && (options.lease < kLeaseMin || options.lease > kLeaseMax)) {
    return InvalidArgument(
        reason::kOutOfRange,
        fmt::format("lease is {} ms; {} ms to {} h is allowed, or 0 for the queue's default",
                    options.lease.count(), kLeaseMin.count(), kLeaseMax / std::chrono::hours(1)));
  }
  if (options.extend_max.count() < 0) return InvalidArgument(reason::kOutOfRange, "extend_max is negative");
  return absl::OkStatus();
}

ConsumerCore::ConsumerCore(ConsumerOptions options, Handler handler, uint64_t subscription,
                           std::shared_ptr<Session> session)
    : options_(std::move(options)),
      handler_(std::move(handler)),
      subscription_(subscription),
      session_(std::move(session)) {}

bool ConsumerCore::InForkedChild() const { return session_->fork_guard().InChild(); }
absl::Status ConsumerCore::CheckForked() const { return session_->fork_guard().Check(); }

// --- the user's side ---

absl::Status ConsumerCore::WaitUntilActive(SteadyTime deadline) {
  MutexLock lock(mutex_);
  bool in_time = true;
  while (in_time && phase_ == Phase::kNew) in_time = changed_.WaitUntil(mutex_, deadline);
  if (phase_ == Phase::kNew) {
    return MakeError(absl::StatusCode::kDeadlineExceeded, reason::kBrokerUnreachable,
                     fmt::format("the broker has not answered the subscription to \"{}\"", options_.queue));
  }
  return status_;
}

void ConsumerCore::StartHandlers() {
  MutexLock lock(mutex_);
  handlers_ = options_.handler_threads;
  for (int i = 0; i < options_.handler_threads; ++i) {
    threads_.emplace_back([self = shared_from_this()] { self->RunHandlers(); });
  }
}

void ConsumerCore::RunHandlers() {
  while (true) {
    Delivery delivery;
    {
      MutexLock lock(mutex_);
      while (phase_ == Phase::kActive && !(delivery = TakeBuffered())) {
        ++waiting_;
        deliverable_.Wait(mutex_);
        --waiting_;
      }
      if (!delivery) break;
    }
    RunHandler(delivery);
  }
  MutexLock lock(mutex_);
  --handlers_;
  changed_.NotifyAll();
}

void ConsumerCore::RunHandler(Delivery& delivery) {
  Outcome outcome = Outcome::Manual();
  try {
    outcome = handler_(delivery);
  } catch (const std::exception& exception) {
    outcome =
        Outcome::Nack({.reason = fmt::format("exception: {}", exception.what()), .delay = std::nullopt});
  } catch (...) {
    outcome = Outcome::Nack({.reason = "exception of an unknown type", .delay = std::nullopt});
  }
  Apply(std::move(outcome), delivery);
}

void ConsumerCore::Apply(Outcome outcome, Delivery& delivery) {
  if (!delivery || delivery.settled()) return;  // the handler has seen to it
  switch (outcome.kind()) {
    case Outcome::Kind::kAck:
      return delivery.Ack();
    case Outcome::Kind::kNack:
      return delivery.Nack(std::move(outcome.options()));
    case Outcome::Kind::kRelease:
      return delivery.Release();
    case Outcome::Kind::kDeadLetter:
      return delivery.DeadLetter(std::move(outcome.options().reason));
    case Outcome::Kind::kManual:
      return;  // its destructor releases it
  }
}

Delivery ConsumerCore::TakeBuffered() {
  while (!buffer_.empty()) {
    Buffered& front = buffer_.front();
    if (front.next == front.chunk->size()) {
      buffer_.pop_front();
      continue;
    }
    if (std::chrono::steady_clock::now() >= front.chunk->lease_end()) {
      Drop(front);
      buffer_.pop_front();
      continue;
    }
    const uint32_t index = front.next++;
    if (!front.chunk->Move(index, DeliveryPhase::kBuffered, DeliveryPhase::kStarted)) continue;  // given back
    started_.fetch_add(1, std::memory_order_relaxed);
    return Delivery(front.chunk, index);
  }
  return Delivery();
}

absl::StatusOr<std::optional<Delivery>> ConsumerCore::Receive(SteadyTime deadline) {
  if (handler_) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, reason::kInvalidArgument,
        "this consumer has a handler, which gets the deliveries; subscribe without one to use Receive");
  }
  MutexLock lock(mutex_);
  bool in_time = true;
  while (phase_ == Phase::kActive) {
    if (Delivery delivery = TakeBuffered()) return delivery;
    if (!in_time) return std::nullopt;
    ++waiting_;
    in_time = deliverable_.WaitUntil(mutex_, deadline);
    --waiting_;
  }
  return status_.ok() ? Stopped() : status_;
}

absl::Status ConsumerCore::Stop(SteadyTime deadline) {
  bool ask = false;
  {
    MutexLock lock(mutex_);
    ask = phase_ == Phase::kNew || phase_ == Phase::kActive;
    if (ask) phase_ = Phase::kStopping;
    deliverable_.NotifyAll();
  }
  if (ask) session_->Unsubscribe(subscription_);
  std::vector<std::thread> finished;
  bool complete = false;
  {
    MutexLock lock(mutex_);
    const auto done = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return phase_ == Phase::kEnded && handlers_ == 0 && unanswered_.load() == 0;
    };
    bool in_time = true;
    while (in_time && !done()) in_time = changed_.WaitUntil(mutex_, deadline);
    complete = done();
    if (handlers_ == 0) finished.swap(threads_);
  }
  for (std::thread& thread : finished) thread.join();
  if (complete) session_->Forget(subscription_);
  if (complete) return absl::OkStatus();
  return MakeError(absl::StatusCode::kDeadlineExceeded, reason::kInvalidArgument,
                   "the consumer has not stopped yet: a handler is running, or the broker has not answered");
}

void ConsumerCore::DetachHandlers() {
  MutexLock lock(mutex_);
  // allowed: a handler that does not return cannot be joined; its thread keeps this object until it ends
  for (std::thread& thread : threads_) thread.detach();
  threads_.clear();
}

absl::Status ConsumerCore::Flush(SteadyTime deadline) {
  MutexLock lock(mutex_);
  bool in_time = true;
  while (in_time && unanswered_.load() > 0) in_time = changed_.WaitUntil(mutex_, deadline);
  if (unanswered_.load() == 0) return absl::OkStatus();
  return MakeError(absl::StatusCode::kDeadlineExceeded, reason::kInvalidArgument,
                   fmt::format("{} settlements are not answered yet", unanswered_.load()));
}

bool ConsumerCore::WaitUntilEnded(SteadyTime deadline) {
  MutexLock lock(mutex_);
  bool in_time = true;
  while (in_time && (phase_ != Phase::kEnded || handlers_ > 0))
    in_time = changed_.WaitUntil(mutex_, deadline);
  return phase_ == Phase::kEnded && handlers_ == 0;
}

absl::Status ConsumerCore::status() {
  MutexLock lock(mutex_);
  return status_;
}

ConsumerCounters ConsumerCore::counters() const {
  return {.delivered = delivered_.load(),
          .started = started_.load(),
          .settled = settled_.load(),
          .refused = refused_.load(),
          .dropped = dropped_.load()};
}

std::string ConsumerCore::Describe() {
  constexpr const char* kPhases[] = {"not subscribed yet", "active", "stopping", "ended"};
  const ConsumerCounters counted = counters();
  MutexLock lock(mutex_);
  size_t buffered = 0;
  for (const Buffered& chunk : buffer_) buffered += chunk.chunk->size() - chunk.next;
  return fmt::format(
      "consumer of {}: {}; delivered {}, started {}, settled {}, refused {}, dropped {}; {} buffered, {} "
      "settlements "
      "unanswered; {} of {} handlers wait{}",
      options_.queue, kPhases[static_cast<size_t>(phase_)], counted.delivered, counted.started,
      counted.settled, counted.refused, counted.dropped, buffered, unanswered_.load(), waiting_, handlers_,
      status_.ok() ? "" : "; " + status_.ToString());
}

void ConsumerCore::Settle(const std::shared_ptr<DeliveryChunk>& chunk, uint32_t index, const Settlement& how,
                          SettleCallback done) {
  if (absl::Status forked = CheckForked(); !forked.ok()) {
    if (done) std::move(done)(forked);
    return;
  }
  const bool extends = how.kind == v1::Settle::EXTEND;
  if (!extends) chunk->Move(index, DeliveryPhase::kStarted, DeliveryPhase::kSettled);
  Settlement checked = how;
  checked.reason = CutReason(std::move(checked.reason));
  unanswered_.fetch_add(1);
  session_->Settle(checked,
                   SettleEntry{.chunk = chunk, .index = index, .automatic = false, .done = std::move(done)});
}

// --- the session's side ---

void ConsumerCore::FillSubscribe(v1::Subscribe& out) const {
  out.set_subscription(subscription_);
  out.set_queue(options_.queue);
  out.set_lease_ms(static_cast<uint64_t>(options_.lease.count()));
  const auto handlers = static_cast<uint32_t>(std::max(1, options_.handler_threads));
  out.set_credit_messages(options_.credit == 0 ? 2 * handlers : options_.credit);
  out.set_credit_bytes(options_.credit_bytes);
}

void ConsumerCore::OnSubscribed() {
  MutexLock lock(mutex_);
  if (phase_ == Phase::kNew) phase_ = Phase::kActive;
  changed_.NotifyAll();
}

void ConsumerCore::OnDelivered(std::shared_ptr<DeliveryChunk> chunk) {
  const uint32_t count = chunk->size();
  delivered_.fetch_add(count, std::memory_order_relaxed);
  leases_.push_back(chunk);
  if (leases_.size() >= leases_pruned_at_) {
    std::erase_if(leases_, [](const std::weak_ptr<DeliveryChunk>& lease) { return lease.expired(); });
    leases_pruned_at_ = 64 + 2 * leases_.size();
  }
  next_renewal_ = std::min(next_renewal_, chunk->renew_at());
  {
    MutexLock lock(mutex_);
    buffer_.push_back(Buffered{.chunk = std::move(chunk), .next = 0});
    for (int i = 0; i < std::min<int>(waiting_, static_cast<int>(count)); ++i) deliverable_.NotifyOne();
  }
  if (handler_ && options_.handler_threads == 0) RunHandlerHere();
}

void ConsumerCore::RunHandlerHere() {
  while (true) {
    Delivery delivery;
    {
      MutexLock lock(mutex_);
      if (phase_ == Phase::kActive) delivery = TakeBuffered();
    }
    if (!delivery) return;
    RunHandler(delivery);
  }
}

void ConsumerCore::OnDisconnected() {
  std::deque<Buffered> lost;
  {
    MutexLock lock(mutex_);
    lost.swap(buffer_);
  }
  for (const Buffered& buffered : lost) Drop(buffered);
  leases_.clear();
  next_renewal_ = SteadyTime::max();
}

void ConsumerCore::OnEnded(const absl::Status& status) {
  std::deque<Buffered> unstarted;
  {
    MutexLock lock(mutex_);
    if (phase_ == Phase::kEnded) return;
    unstarted.swap(buffer_);
  }
  for (const Buffered& buffered : unstarted) GiveBack(buffered);
  MutexLock lock(mutex_);
  phase_ = Phase::kEnded;
  status_ = status;
  deliverable_.NotifyAll();
  changed_.NotifyAll();
}

void ConsumerCore::Drop(const Buffered& buffered) {
  for (uint32_t i = buffered.next; i < buffered.chunk->size(); ++i) {
    if (buffered.chunk->Move(i, DeliveryPhase::kBuffered, DeliveryPhase::kGone)) dropped_.fetch_add(1);
  }
}

void ConsumerCore::GiveBack(const Buffered& buffered) {
  for (uint32_t i = buffered.next; i < buffered.chunk->size(); ++i) {
    if (!buffered.chunk->Move(i, DeliveryPhase::kBuffered, DeliveryPhase::kGone)) continue;
    dropped_.fetch_add(1);
    SendAutomatic(buffered.chunk, i, v1::Settle::RELEASE);
  }
}

void ConsumerCore::SendAutomatic(const std::shared_ptr<DeliveryChunk>& chunk, uint32_t index,
                                 v1::Settle::Kind kind) {
  unanswered_.fetch_add(1);
  session_->Settle(Settlement{.kind = kind},
                   SettleEntry{.chunk = chunk, .index = index, .automatic = true, .done = nullptr});
}

void ConsumerCore::OnAnswered(Settlements::Answer& answer) {
  const bool extends = answer.kind == v1::Settle::EXTEND;
  if (!answer.entry.automatic && !extends) (answer.status.ok() ? settled_ : refused_).fetch_add(1);
  if (!answer.entry.automatic && !answer.status.ok() && options_.on_refused) {
    options_.on_refused(answer.entry.chunk->message_id(answer.entry.index).ToText(), answer.status);
  }
  if (answer.entry.done) std::move(answer.entry.done)(answer.status);
  if (unanswered_.fetch_sub(1) == 1) {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  }
}

SteadyTime ConsumerCore::RenewLeases(SteadyTime now) {
  if (now < next_renewal_) return next_renewal_;
  next_renewal_ = SteadyTime::max();
  std::erase_if(leases_, [&](const std::weak_ptr<DeliveryChunk>& lease) {
    const std::shared_ptr<DeliveryChunk> chunk = lease.lock();
    if (chunk == nullptr) return true;
    if (now >= chunk->renew_at()) RenewChunk(chunk, now);
    next_renewal_ = std::min(next_renewal_, chunk->renew_at());
    return false;
  });
  return next_renewal_;
}

void ConsumerCore::RenewChunk(const std::shared_ptr<DeliveryChunk>& chunk, SteadyTime now) {
  const bool may_extend = options_.auto_extend && now - chunk->source().received < options_.extend_max;
  const bool held = now < chunk->lease_end();
  for (uint32_t i = 0; i < chunk->size(); ++i) {
    if (may_extend && chunk->phase(i) == DeliveryPhase::kStarted) SendAutomatic(chunk, i, v1::Settle::EXTEND);
    // It would be lost soon, and that would count as an attempt.
    if (!chunk->Move(i, DeliveryPhase::kBuffered, DeliveryPhase::kGone)) continue;
    dropped_.fetch_add(1);
    if (held) SendAutomatic(chunk, i, v1::Settle::RELEASE);
  }
  chunk->Renewed(now);
}

}  // namespace baton::client

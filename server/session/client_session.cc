#include "server/session/client_session.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/message_id.h"

namespace baton {
namespace {

// What a session keeps room for; a frame of thousands of commands comes now and then.
constexpr size_t kKeptPostsMax = 64;

// Something that no good client does, as opposed to a broker that stops or a producer that is taken over.
bool IsMisbehaviour(const absl::Status& why) {
  const std::string word = ReasonOf(why);
  return absl::IsInvalidArgument(why) || word == reason::kCreditExceeded || word == reason::kBrokerBusy;
}

absl::Status CheckEntries(const v1::ClientFrame& frame) {
  const auto entries =
      static_cast<size_t>(frame.subscribe_size() + frame.credit_size() + frame.unsubscribe_size());
  if (entries <= kFrameEntriesMax) return absl::OkStatus();
  return ProtocolViolation(
      fmt::format("the frame holds {} of subscribe, credit and unsubscribe; at most {} are allowed", entries,
                  kFrameEntriesMax));
}

}  // namespace

ClientSession::ClientSession(BrokerFacts* facts, std::string peer, Wake wake)
    : facts_(facts),
      id_(facts->NextSession()),
      peer_(std::move(peer)),
      wake_(std::move(wake)),
      outbox_(&facts->outbox_bytes),
      credit_(facts->publish_credit) {}

ClientSession::~ClientSession() {
  outbox_.Abandon();
  TellOfRoom();
}

// ---- What the client says.

ClientSession::Reading ClientSession::OnFrame(v1::ClientFrame& frame) {
  BATON_CHECK(pending_.empty()) << "a frame was read while the one before it waits";
  if (state_ != State::kOpening && state_ != State::kOpen) return Reading::kStop;
  if (absl::Status status = Decode(frame); !status.ok()) {
    End(status);
    return Reading::kStop;
  }
  return PostPending();
}

ClientSession::Reading ClientSession::Retry() {
  if (state_ != State::kOpen && state_ != State::kLeaving) return Reading::kStop;
  return PostPending();
}

ClientSession::Reading ClientSession::PostPending() {
  const bool opens = !opened_ && !pending_.empty();  // the first post of a session opens it
  if (!facts_->inbox->TryPost(pending_)) return Reading::kRefused;
  opened_ = opened_ || opens;
  if (pending_.capacity() > kKeptPostsMax) std::vector<Post>().swap(pending_);
  return state_ == State::kLeaving ? Reading::kStop : Reading::kNext;
}

// In the order of the frame's fields.
absl::Status ClientSession::Decode(v1::ClientFrame& frame) {
  absl::Status status = CheckEntries(frame);
  if (status.ok()) status = DecodeOpening(frame);
  if (status.ok()) status = DecodeSubscribes(frame);
  if (status.ok()) status = DecodePublishes(frame);
  if (status.ok()) status = DecodeSettles(frame);
  if (status.ok()) status = DecodeCredits(frame);
  if (status.ok() && frame.has_goodbye()) BeginLeaving();
  return status;
}

absl::Status ClientSession::DecodeOpening(const v1::ClientFrame& frame) {
  if (frame.has_hello() != (state_ == State::kOpening)) {
    return ProtocolViolation(frame.has_hello() ? "Hello came twice" : "the first frame has no Hello");
  }
  if (!frame.has_hello()) return absl::OkStatus();
  auto open = DecodeHello(frame.hello(), id_, peer_);
  if (!open.ok()) return open.status();
  pending_.push_back({.command = *std::move(open), .recipient = shared_from_this()});
  state_ = State::kOpen;
  return absl::OkStatus();
}

absl::Status ClientSession::DecodeSubscribes(const v1::ClientFrame& frame) {
  for (const v1::Subscribe& subscribe : frame.subscribe()) {
    auto decoded = DecodeSubscribe(subscribe, id_);
    if (!decoded.ok()) return decoded.status();
    if (subscription_count_ >= kSubscriptionsPerSessionMax) {
      decoded->status =
          MakeError(absl::StatusCode::kResourceExhausted, reason::kSessionLimit,
                    fmt::format("a session may have {} subscriptions", kSubscriptionsPerSessionMax));
    }
    Asked& asked = subscriptions_[decoded->command.subscription];
    if (asked.times++ == 0) asked.credit_messages = subscribe.credit_messages();
    ++subscription_count_;
    if (decoded->status.ok()) {
      pending_.push_back({.command = std::move(decoded->command)});
    } else {
      outbox_.Subscribed(decoded->command.subscription, decoded->status);
    }
  }
  return absl::OkStatus();
}

absl::Status ClientSession::DecodePublishes(v1::ClientFrame& frame) {
  for (v1::PublishBatch& batch : *frame.mutable_publish()) {
    auto decoded = DecodePublish(batch, id_, facts_->limits);
    if (!decoded.ok()) return decoded.status();
    absl::Status taken = credit_.Take(decoded->first_sequence, std::move(decoded->sizes));
    if (!taken.ok()) return taken;
    for (Publish& publish : decoded->commands) {
      // What was sent later is not decided sooner.
      published_to_disk_ = published_to_disk_ || !facts_->memory_queues.Contains(publish.queue);
      publish.to_disk = published_to_disk_;
      pending_.push_back({.command = std::move(publish)});
    }
    for (PublishFailure& failure : decoded->failures) {
      const uint64_t sequence = failure.sequence;
      ConfirmRun run{.first = sequence, .last = sequence, .failures = {}, .duplicates = {}, .ids = {}};
      run.failures.push_back(std::move(failure));
      if (batch.want_ids()) run.ids.assign(MessageId::kBytes, '\0');
      outbox_.Confirm(run);
    }
  }
  return absl::OkStatus();
}

absl::Status ClientSession::DecodeSettles(const v1::ClientFrame& frame) {
  size_t tags_left = kSettleTagsMax;
  for (const v1::Settle& settle : frame.settle()) {
    const size_t tags_before = tags_left;
    auto decoded = DecodeSettle(settle, id_, tags_left);
    if (!decoded.ok()) return decoded.status();
    pending_.push_back({.command = *std::move(decoded)});
    ++settlements_;
    settled_tags_.push_back(tags_before - tags_left);
    unanswered_tags_ += settled_tags_.back();
  }
  return absl::OkStatus();
}

absl::Status ClientSession::DecodeCredits(const v1::ClientFrame& frame) {
  for (const v1::Credit& credit : frame.credit()) {
    auto decoded = DecodeCredit(credit, id_);
    if (!decoded.ok()) return decoded.status();
    const auto asked = subscriptions_.find(decoded->subscription);
    if (asked == subscriptions_.end()) continue;  // it has ended
    asked->second.credit_messages = decoded->messages;
    pending_.push_back({.command = *std::move(decoded)});
  }
  for (const v1::Unsubscribe& unsubscribe : frame.unsubscribe()) {
    if (unsubscribe.subscription() == 0) return ProtocolViolation("Unsubscribe.subscription is 0");
    pending_.push_back(
        {.command = Unsubscribe{.session = id_, .subscription = SubscriptionId(unsubscribe.subscription())}});
  }
  return absl::OkStatus();
}

// Nothing new is delivered while the rest is answered.
void ClientSession::BeginLeaving() {
  state_ = State::kLeaving;
  for (const auto& [subscription, asked] : subscriptions_) {
    pending_.push_back({.command = Unsubscribe{.session = id_, .subscription = subscription}});
  }
}

// ---- What the client hears.

bool ClientSession::TakeFrame(v1::ServerFrame& frame) {
  if (state_ == State::kOver) return false;
  const bool any = outbox_.Take(frame);
  TellOfRoom();  // of the frame before
  if (!any) {
    CloseIfLeft();
    return false;
  }
  NoteTaken(frame);
  ResumeDeliveries();
  return true;
}

// The client is about to learn this: its side of the books moves.
void ClientSession::NoteTaken(const v1::ServerFrame& frame) {
  for (const v1::Confirm& confirm : frame.confirms()) {
    credit_.GiveBack(confirm.first_sequence(), confirm.last_sequence());
  }
  if (credit_.messages() == 0) published_to_disk_ = false;
  for (const v1::SettleReply& reply : frame.settled()) {
    for (; settled_through_ < reply.through(); ++settled_through_) {
      unanswered_tags_ -= settled_tags_.front();
      settled_tags_.pop_front();
    }
  }
  for (const v1::Subscribed& subscribed : frame.subscribed()) {
    if (subscribed.has_error()) ForgetSubscription(SubscriptionId(subscribed.subscription()));
  }
  for (const v1::SubscriptionEnded& ended : frame.ended()) {
    ForgetSubscription(SubscriptionId(ended.subscription()));
  }
  greeted_ = greeted_ || frame.has_hello();
  if (frame.has_go_away()) {
    const v1::Error& error = frame.go_away().error();
    end_status_ = MakeError(static_cast<absl::StatusCode>(error.code()), error.reason(), error.message());
    if (ReasonOf(end_status_) == reason::kBrokerBusy) NoteEnd(end_status_);
    Close();
    state_ = State::kOver;
  }
}

// The outbox had stopped deliveries and has room again: the engine looks at a subscription when its credit is
// set.
void ClientSession::ResumeDeliveries() {
  if (state_ != State::kOpen || !outbox_.TakeResumed()) return;
  for (const auto& [subscription, asked] : subscriptions_) {
    facts_->inbox->PostAlways(SetCredit{
        .session = id_, .subscription = subscription, .messages = asked.credit_messages, .bytes = 0});
  }
}

// Room that another session waits for.
void ClientSession::TellOfRoom() {
  if (facts_->outbox_bytes.TakeAwaited()) facts_->inbox->PostAlways(baton::ResumeDeliveries{});
}

void ClientSession::ForgetSubscription(SubscriptionId subscription) {
  const auto found = subscriptions_.find(subscription);
  if (found == subscriptions_.end()) return;
  --subscription_count_;
  if (--found->second.times == 0) subscriptions_.erase(found);
}

void ClientSession::CloseIfLeft() {
  const bool answered =
      greeted_ && pending_.empty() && credit_.messages() == 0 && settled_through_ == settlements_;
  if (state_ != State::kLeaving || !answered) return;
  Close();
  state_ = State::kOver;
}

// ---- The end.

void ClientSession::End(const absl::Status& why, Duration retry_after) {
  if (state_ == State::kOver || state_ == State::kEnding) return;
  NoteEnd(why);
  outbox_.GoAway(why, retry_after);
  Close();
  state_ = State::kEnding;
}

void ClientSession::NoteEnd(const absl::Status& why) {
  if (!IsMisbehaviour(why)) return;
  facts_->NoteIncident({.event = "a session breaks the protocol",
                        .peer = peer_,
                        .done = fmt::format("ended the session: {}", std::string(why.message()))});
}

void ClientSession::Lost() {
  if (state_ == State::kOver) return;
  Close();
  state_ = State::kOver;
}

void ClientSession::Close() {
  pending_.clear();
  if (std::exchange(opened_, false)) facts_->inbox->PostAlways(CloseSession{id_});
}

// ---- The engine's thread.

void ClientSession::SessionOpened(uint64_t accepted_sequence) {
  v1::HelloReply reply;
  reply.set_protocol_version(1);
  reply.set_broker_version(facts_->version);
  reply.set_epoch(facts_->epoch.value());
  reply.set_session_id(id_.value());
  reply.mutable_publish_credit()->set_messages(static_cast<uint32_t>(facts_->publish_credit.messages));
  reply.mutable_publish_credit()->set_bytes(facts_->publish_credit.bytes);
  reply.set_body_bytes_max(facts_->limits.body_bytes_max);
  reply.set_header_bytes_max(facts_->limits.header_bytes_max);
  reply.set_batch_messages_max(kBatchMessagesMax);
  reply.set_now_unix_ms(ToMillis(facts_->time->Now()));
  reply.set_accepted_sequence(accepted_sequence);
  outbox_.Hello(std::move(reply));
}

void ClientSession::Subscribed(SubscriptionId subscription, absl::StatusOr<Duration> lease) {
  outbox_.Subscribed(subscription, lease);
}

void ClientSession::SubscriptionEnded(SubscriptionId subscription, const absl::Status& why) {
  outbox_.SubscriptionEnded(subscription, why);
}

void ClientSession::Deliver(const DeliveryView& delivery) { outbox_.Deliver(delivery); }

bool ClientSession::TakesDeliveries(size_t bytes) { return outbox_.TakesDeliveries(bytes); }

void ClientSession::Confirm(ConfirmRun run) { outbox_.Confirm(run); }

void ClientSession::Settled(uint64_t through, std::vector<SettleFailure> failures) {
  outbox_.Settled(through, failures);
}

void ClientSession::EndSession(const absl::Status& why) {
  if (absl::IsInvalidArgument(why)) NoteEnd(why);
  outbox_.GoAway(why, Duration(0));
}

void ClientSession::Flush() { wake_(id_); }

}  // namespace baton

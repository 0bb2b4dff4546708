#include "server/session/session_outbox.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/message_id.h"
#include "server/session/queue_wire.h"
#include "server/session/wire_error.h"

namespace baton {
namespace {

constexpr size_t kSmallEntryBytes = 32;  // about what a confirm or an answer takes
constexpr size_t kSpareFramesMax = 2;
// About what one refusal takes once it is part of a frame: four times what it takes on the wire.
constexpr size_t kRefusalInFrameBytes = 256;

// A column is empty while every value is the default, else it has one value per message: `index` is the
// message's.
template <class Column, class T>
void AppendToColumn(Column* column, int index, T value, T absent) {
  if (column->empty() && value == absent) return;
  while (column->size() < index) column->Add(absent);
  column->Add(value);
}

void AppendHeaders(google::protobuf::RepeatedPtrField<std::string>* column, int index,
                   std::string_view headers) {
  if (column->empty() && headers.empty()) return;
  while (column->size() < index) column->Add();
  column->Add()->assign(headers);
}

}  // namespace

SessionOutbox::~SessionOutbox() { Abandon(); }

void SessionOutbox::Abandon() {
  const MutexLock lock(mutex_);
  ended_ = true;
  LetGo();
  total_->bytes.fetch_sub(std::exchange(on_its_way_, 0));
}

v1::ServerFrame* SessionOutbox::Open() {
  if (ended_) return nullptr;
  if (frames_.empty() || frames_.back().frame_bytes >= kFrameBytes) return Begin();
  return frames_.back().frame.get();
}

v1::ServerFrame* SessionOutbox::Begin() {
  Building building;
  if (spare_.empty()) {
    building.frame = std::make_unique<v1::ServerFrame>();
  } else {
    building.frame = std::move(spare_.back());
    spare_.pop_back();
  }
  frames_.push_back(std::move(building));
  return frames_.back().frame.get();
}

void SessionOutbox::Grow(size_t bytes) {
  frames_.back().bytes += bytes;
  frames_.back().frame_bytes += bytes;
  bytes_ += bytes;
  total_->bytes.fetch_add(bytes, std::memory_order_relaxed);
}

void SessionOutbox::Hello(v1::HelloReply reply) {
  const MutexLock lock(mutex_);
  if (Open() == nullptr) return;
  *frames_.front().frame->mutable_hello() = std::move(reply);
  greeted_ = true;
  Grow(kSmallEntryBytes);
}

void SessionOutbox::Subscribed(SubscriptionId subscription, const absl::StatusOr<Duration>& lease) {
  const MutexLock lock(mutex_);
  v1::ServerFrame* frame = Open();
  if (frame == nullptr) return;
  if (frame->ended_size() > 0) {
    // `subscribed` is read before `ended`: a subscription of the same name that was ended before would end
    // this one.
    frame = Begin();
  }
  v1::Subscribed* subscribed = frame->add_subscribed();
  subscribed->set_subscription(subscription.value());
  if (lease.ok()) {
    subscribed->set_lease_ms(static_cast<uint64_t>(lease->count() / 1000));
  } else {
    FillWireError(lease.status(), subscribed->mutable_error());
    Grow(lease.status().message().size());
  }
  Grow(kSmallEntryBytes);
}

void SessionOutbox::SubscriptionEnded(SubscriptionId subscription, const absl::Status& why) {
  const MutexLock lock(mutex_);
  v1::ServerFrame* frame = Open();
  if (frame == nullptr) return;
  v1::SubscriptionEnded* ended = frame->add_ended();
  ended->set_subscription(subscription.value());
  if (!why.ok()) FillWireError(why, ended->mutable_error());
  Grow(kSmallEntryBytes);
}

v1::Deliveries* SessionOutbox::Run(v1::ServerFrame* frame, const DeliveryView& delivery) {
  if (frame->deliveries_size() > 0) {
    v1::Deliveries* last = frame->mutable_deliveries(frame->deliveries_size() - 1);
    if (last->subscription() == delivery.subscription.value() && delivery.tag == last_tag_ + 1) return last;
  }
  v1::Deliveries* run = frame->add_deliveries();
  run->set_subscription(delivery.subscription.value());
  run->set_first_tag(delivery.tag);
  run->set_first_delivery(delivery.number.value());
  return run;
}

void SessionOutbox::Deliver(const DeliveryView& delivery) {
  const MutexLock lock(mutex_);
  v1::ServerFrame* frame = Open();
  if (frame == nullptr) return;
  v1::Deliveries* run = Run(frame, delivery);
  const int index = run->body_sizes_size();
  run->add_body_sizes(static_cast<uint32_t>(delivery.body.size()));
  run->mutable_bodies()->append(delivery.body);
  delivery.id.AppendTo(*run->mutable_ids());
  AppendToColumn<>(run->mutable_priorities(), index, delivery.priority, uint32_t{0});
  AppendToColumn<>(run->mutable_attempts(), index, delivery.attempt, uint32_t{1});
  AppendToColumn<>(run->mutable_redelivered(), index, delivery.redelivered, false);
  AppendHeaders(run->mutable_headers(), index, delivery.headers);
  run->add_published_unix_ms(ToMillis(delivery.published));
  AppendToColumn<>(run->mutable_producer_ids(), index, delivery.producer.value(), uint64_t{0});
  AppendToColumn<>(run->mutable_sequences(), index, delivery.sequence, uint64_t{0});
  if (index > 0) {
    const uint64_t distance = delivery.number.value() - last_number_.value();
    AppendToColumn<>(run->mutable_delivery_distances(), index - 1, distance, uint64_t{1});
  }
  last_tag_ = delivery.tag;
  last_number_ = delivery.number;
  Grow(delivery.body.size() + delivery.headers.size() + MessageId::kBytes + kSmallEntryBytes);
}

bool SessionOutbox::TakesDeliveries(size_t bytes) {
  const MutexLock lock(mutex_);
  const size_t own = bytes_ + on_its_way_;
  const auto has_room = [&] {
    // One that can never have room beside others has it when there is little of theirs.
    const bool alone =
        own == 0 && bytes > total_->bytes_max / 2 && total_->bytes.load() <= total_->bytes_max / 4;
    return alone || total_->Grants(own, bytes);
  };
  const bool has_its_fill = bytes_ >= kDeliveriesBytesMax;
  if (!has_its_fill) {
    if (has_room()) return true;
    total_->awaited.store(true);
    if (has_room()) return true;
  }
  deliveries_stopped_ = true;
  return false;
}

bool SessionOutbox::TakeResumed() {
  const MutexLock lock(mutex_);
  if (!deliveries_stopped_ || bytes_ >= kFrameBytes) return false;
  deliveries_stopped_ = false;
  return true;
}

void SessionOutbox::Confirm(const ConfirmRun& run) {
  const MutexLock lock(mutex_);
  v1::ServerFrame* frame = Open();
  if (frame == nullptr) return;
  v1::Confirm* confirm = nullptr;
  if (frame->confirms_size() > 0) {
    v1::Confirm* last = frame->mutable_confirms(frame->confirms_size() - 1);
    const bool continues = last->last_sequence() + 1 == run.first &&
                           last->durability() == ToWire(run.durability) &&
                           last->ids().empty() == run.ids.empty();
    if (continues) confirm = last;
  }
  if (confirm == nullptr) {
    confirm = frame->add_confirms();
    confirm->set_first_sequence(run.first);
    confirm->set_durability(ToWire(run.durability));
  }
  confirm->set_last_sequence(run.last);
  for (const PublishFailure& failure : run.failures) {
    v1::PublishError* error = confirm->add_errors();
    error->set_sequence(failure.sequence);
    FillWireError(failure.status, error->mutable_error());
    Grow(failure.status.message().size() + kSmallEntryBytes);
  }
  for (const uint64_t duplicate : run.duplicates) confirm->add_duplicates(duplicate);
  confirm->mutable_ids()->append(run.ids);
  Grow(run.ids.size() + run.duplicates.size() * sizeof(uint64_t) + kSmallEntryBytes);
}

void SessionOutbox::Settled(uint64_t through, const std::vector<SettleFailure>& failures) {
  const MutexLock lock(mutex_);
  if (ended_) return;
  for (const SettleFailure& failure : failures) Refuse(failure);
  // Cumulative: one a frame is enough. Also in the frame that the last refusal has filled.
  const bool has_reply = !frames_.empty() && frames_.back().frame->settled_size() > 0;
  (has_reply ? frames_.back().frame->mutable_settled(0) : OpenReply())->set_through(through);
  settled_through_ = through;
  if (refusals_ * sizeof(SettleFailure) <= kFrameBytes || !AllFull()) return;
  LetGo();
  SendAway(MakeError(absl::StatusCode::kResourceExhausted, reason::kBrokerBusy,
                     fmt::format("the broker holds as much for its sessions as it may, and this one has not "
                                 "taken {} runs of settlements that changed nothing; take answers as they "
                                 "come, and connect again",
                                 refusals_)),
           Duration(0));
}

// A frame that says nothing new by itself repeats what is settled so far.
v1::SettleReply* SessionOutbox::OpenReply() {
  v1::ServerFrame* frame = Open();
  if (frame->settled_size() == 0) {
    frame->add_settled()->set_through(settled_through_);
    Grow(kSmallEntryBytes);
  }
  return frame->mutable_settled(0);
}

void SessionOutbox::Refuse(const SettleFailure& failure) {
  OpenReply();
  Building& building = frames_.back();
  if (!building.refusals.empty() && building.refusals.back().Joins(failure)) return;
  building.refusals.push_back(failure);
  building.frame_bytes += kRefusalInFrameBytes;
  ++refusals_;
  building.bytes += sizeof(SettleFailure);
  bytes_ += sizeof(SettleFailure);
  total_->bytes.fetch_add(sizeof(SettleFailure), std::memory_order_relaxed);
}

void SessionOutbox::WriteOut(const std::vector<SettleFailure>& refusals, v1::SettleReply* reply) {
  for (const SettleFailure& refusal : refusals) {
    v1::SettleError* error = reply->add_errors();
    error->set_settlement(refusal.settlement);
    error->set_tag(refusal.tag);
    error->set_further(refusal.further);
    FillWireError(refusal.status, error->mutable_error());
  }
}

bool SessionOutbox::GoAway(const absl::Status& why, Duration retry_after) {
  const MutexLock lock(mutex_);
  return SendAway(why, retry_after);
}

bool SessionOutbox::SendAway(const absl::Status& why, Duration retry_after) {
  v1::ServerFrame* frame = Open();
  if (frame == nullptr) return false;
  FillWireError(why, frame->mutable_go_away()->mutable_error());
  frame->mutable_go_away()->set_retry_after_ms(static_cast<uint64_t>(retry_after.count() / 1000));
  Grow(kSmallEntryBytes);
  ended_ = true;
  return true;
}

void SessionOutbox::LetGo() {
  frames_.clear();
  total_->bytes.fetch_sub(std::exchange(bytes_, 0), std::memory_order_relaxed);
}

bool SessionOutbox::Take(v1::ServerFrame& frame) {
  const MutexLock lock(mutex_);
  total_->bytes.fetch_sub(std::exchange(on_its_way_, 0));
  if (frames_.empty() || !(greeted_ || ended_)) return false;
  Building oldest = std::move(frames_.front());
  frames_.pop_front();
  bytes_ -= oldest.bytes;
  on_its_way_ = oldest.frame_bytes;
  total_->bytes.fetch_add(oldest.frame_bytes - oldest.bytes);
  oldest.frame->Swap(&frame);
  refusals_ -= oldest.refusals.size();
  if (!oldest.refusals.empty()) WriteOut(oldest.refusals, frame.mutable_settled(0));
  const bool keep = !std::exchange(lent_is_fat_, !oldest.refusals.empty());
  if (keep && spare_.size() < kSpareFramesMax && total_->Grants(bytes_, total_->bytes_max / 2))
    spare_.push_back(std::move(oldest.frame));
  return true;
}

bool SessionOutbox::IsFull() const {
  const MutexLock lock(mutex_);
  return bytes_ > kOutboxBytesMax || (bytes_ >= kFrameBytes && !total_->Grants(bytes_ + on_its_way_, 0));
}

size_t SessionOutbox::bytes() const {
  const MutexLock lock(mutex_);
  return bytes_;
}

bool SessionOutbox::ended() const {
  const MutexLock lock(mutex_);
  return ended_;
}

void SessionOutbox::FreeSpareMemory() {
  const MutexLock lock(mutex_);
  spare_.clear();
}

}  // namespace baton

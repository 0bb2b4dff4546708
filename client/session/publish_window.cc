#include "client/session/publish_window.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "base/check.h"
#include "base/error.h"
#include "base/message_id.h"
#include "base/queue_name.h"
#include "client/session/convert.h"

namespace baton::client {
namespace {

// The text of the i-th id of a confirm; "" when there is none.
std::string IdText(const v1::Confirm& confirm, uint64_t index) {
  const size_t offset = index * MessageId::kBytes;
  if (offset + MessageId::kBytes > confirm.ids().size()) return {};
  const auto id = MessageId::FromBytes(std::string_view(confirm.ids()).substr(offset, MessageId::kBytes));
  return id.has_value() ? id->ToText() : std::string();
}

}  // namespace

absl::Status PublishWindow::Add(const Envelope& to, const Message& message, PublishCallback& done,
                                std::chrono::milliseconds room_timeout) {
  const uint64_t bytes = message.body.size() + to.headers.size();
  MutexLock lock(mutex_);
  if (absl::Status valid = CheckMessage(to, message); !valid.ok()) return valid;
  if (absl::Status room = WaitForRoom(bytes, room_timeout); !room.ok()) return room;
  PublishBatch& batch = OpenBatch(to, bytes);
  Slot& slot = SlotOf(next_);
  BATON_CHECK(slot.batch == nullptr) << "sequence " << next_;
  slot = Slot{.batch = &batch,
              .index = batch.size(),
              .bytes = bytes,
              .producer = to.producer,
              .done = std::move(done)};
  batch.Append(message, to.headers);
  unanswered_bytes_ += bytes;
  ++to.producer->unanswered;
  ++to.producer->counters.published;
  ++next_;
  return absl::OkStatus();
}

absl::Status PublishWindow::CheckMessage(const Envelope& to, const Message& message) const {
  if (batches_.empty() || batches_.back()->columns.queue() != to.queue) {
    if (absl::Status valid = CheckQueueName(to.queue); !valid.ok()) return valid;
  }
  if (message.body.size() > limits_.body_bytes_max) {
    return InvalidArgument(
        reason::kBodyTooLarge,
        fmt::format("the body has {} bytes, and the broker takes at most {} (its option body_bytes_max)",
                    message.body.size(), limits_.body_bytes_max));
  }
  if (to.headers.size() > limits_.header_bytes_max) {
    return InvalidArgument(
        reason::kHeadersTooLarge,
        fmt::format("the headers have {} bytes, and the broker takes at most {} (header_bytes_max)",
                    to.headers.size(), limits_.header_bytes_max));
  }
  if (message.ttl.count() < 0 || message.ttl > kTtlMax) {
    return InvalidArgument(reason::kOutOfRange,
                           fmt::format("the ttl is {} ms; it is at least 0 and at most {} days",
                                       message.ttl.count(), kTtlMax / std::chrono::hours(24)));
  }
  if (message.delay.count() < 0 || message.delay > kDelayMax) {
    return InvalidArgument(reason::kOutOfRange,
                           fmt::format("the delay is {} ms; it is at least 0 and at most {} days",
                                       message.delay.count(), kDelayMax / std::chrono::hours(24)));
  }
  return absl::OkStatus();
}

bool PublishWindow::HasRoom(uint64_t bytes) const {
  const uint64_t span = next_ - base_;
  if (span >= std::min<uint64_t>(kSpanMax, limits_.credit_messages)) return false;
  return span == 0 || unanswered_bytes_ + bytes <= limits_.credit_bytes;
}

absl::Status PublishWindow::WaitForRoom(uint64_t bytes, std::chrono::milliseconds timeout) {
  if (failed_.ok() && HasRoom(bytes)) return absl::OkStatus();  // without a look at the clock
  const SteadyTime deadline = DeadlineAfter(timeout);
  while (failed_.ok() && !HasRoom(bytes)) {
    ++waiting_for_room_;
    const bool in_time = std::chrono::steady_clock::now() < deadline && room_.WaitUntil(mutex_, deadline);
    --waiting_for_room_;
    if (!in_time && failed_.ok() && !HasRoom(bytes)) {
      return MakeError(
          absl::StatusCode::kResourceExhausted, reason::kPublishWindowFull,
          fmt::format("{} messages ({} bytes) are published and not yet confirmed, and the broker allows no "
                      "more at present{}; publish again later",
                      next_ - base_, unanswered_bytes_, connected_ ? "" : " (the connection is lost)"));
    }
  }
  return failed_;
}

PublishBatch& PublishWindow::OpenBatch(const Envelope& to, uint64_t bytes) {
  if (batches_.size() > sent_batches_) {
    PublishBatch& last = *batches_.back();
    const bool same = last.columns.queue() == to.queue && last.columns.want_ids() == to.want_ids;
    const bool follows = last.columns.first_sequence() + last.size() == next_;
    if (same && follows && last.size() < limits_.batch_messages_max && last.bytes + bytes <= kBatchBytes)
      return last;
  }
  if (spare_batches_.empty()) spare_batches_.push_back(std::make_unique<PublishBatch>());
  batches_.push_back(std::move(spare_batches_.back()));
  spare_batches_.pop_back();
  batches_.back()->Start(to.queue, next_, to.want_ids);
  return *batches_.back();
}

absl::Status PublishWindow::Flush(const std::shared_ptr<ProducerState>& producer, SteadyTime deadline) {
  MutexLock lock(mutex_);
  const uint64_t target = next_;
  ++waiting_for_answers_;
  bool in_time = true;
  while (in_time && producer->unanswered > 0 && finished_ < target)
    in_time = answered_.WaitUntil(mutex_, deadline);
  --waiting_for_answers_;
  if (producer->unanswered > 0 && finished_ < target) {
    return MakeError(absl::StatusCode::kDeadlineExceeded, reason::kPublishWindowFull,
                     fmt::format("{} messages are not confirmed yet{}", producer->unanswered,
                                 connected_ ? "" : ", and the connection is lost"));
  }
  return std::exchange(producer->first_error, absl::OkStatus());
}

ProducerCounters PublishWindow::CountersOf(const ProducerState& producer) {
  MutexLock lock(mutex_);
  return producer.counters;
}

std::string PublishWindow::Describe() {
  MutexLock lock(mutex_);
  return fmt::format(
      "publishes: {}; sequences {} to {} unanswered, callbacks have run up to {}; {} batches, {} of them "
      "sent with {} "
      "messages of {} bytes (credit {} and {}); {} wait for room, {} for answers{}",
      connected_ ? "connected" : "not connected", base_, next_ - 1, finished_ - 1, batches_.size(),
      sent_batches_, sent_messages_, sent_bytes_, limits_.credit_messages, limits_.credit_bytes,
      waiting_for_room_, waiting_for_answers_, failed_.ok() ? "" : "; failed: " + failed_.ToString());
}

bool PublishWindow::WaitUntilEmpty(SteadyTime deadline) {
  MutexLock lock(mutex_);
  ++waiting_for_answers_;
  bool in_time = true;
  while (in_time && finished_ < next_) in_time = answered_.WaitUntil(mutex_, deadline);
  --waiting_for_answers_;
  return finished_ == next_;
}

bool PublishWindow::FitsCredit(uint32_t messages, uint64_t bytes) const {
  if (sent_messages_ + messages > limits_.credit_messages) return false;
  return sent_bytes_ + bytes <= limits_.credit_bytes || (sent_messages_ == 0 && messages == 1);
}

void PublishWindow::Adopt(PublishBatch& batch) {
  for (uint32_t i = 0; i < batch.size(); ++i) {
    Slot& slot = SlotOf(batch.columns.first_sequence() + i);
    slot.batch = &batch;
    slot.index = i;
  }
}

bool PublishWindow::CutToCredit(size_t position) {
  PublishBatch& whole = *batches_[position];
  uint32_t fitting = 0;
  uint64_t bytes = 0;
  while (fitting < whole.size()) {
    bytes += SlotOf(whole.columns.first_sequence() + fitting).bytes;
    if (!FitsCredit(fitting + 1, bytes)) break;
    ++fitting;
  }
  if (fitting == 0) return false;
  if (fitting == whole.size()) return true;
  std::unique_ptr<PublishBatch> first = whole.Slice(0, fitting);
  std::unique_ptr<PublishBatch> rest = whole.Slice(fitting, whole.size());
  Adopt(*first);
  Adopt(*rest);
  batches_[position] = std::move(first);
  batches_.insert(batches_.begin() + static_cast<std::ptrdiff_t>(position) + 1, std::move(rest));
  return true;
}

void PublishWindow::Lend(v1::ClientFrame& frame) {
  MutexLock lock(mutex_);
  if (!connected_) return;
  uint64_t total = 0;
  while (sent_batches_ < batches_.size()) {
    if (total > 0 && total + batches_[sent_batches_]->bytes > kBatchBytes) break;
    const PublishBatch& candidate = *batches_[sent_batches_];
    if (!FitsCredit(candidate.size(), candidate.bytes) && !CutToCredit(sent_batches_)) break;
    PublishBatch& batch = *batches_[sent_batches_];
    batch.sent = true;
    sent_messages_ += batch.size();
    sent_bytes_ += batch.bytes;
    total += batch.bytes;
    ++sent_batches_;
    frame.mutable_publish()->UnsafeArenaAddAllocated(&batch.columns);
  }
}

void PublishWindow::GiveBack(v1::ClientFrame& frame) {
  frame.mutable_publish()->UnsafeArenaExtractSubrange(0, frame.publish_size(), nullptr);
}

void PublishWindow::OnConnected(const Limits& limits) {
  std::vector<Answer> refused;
  {
    MutexLock lock(mutex_);
    limits_ = limits;
    connected_ = true;
    sent_batches_ = 0;
    sent_messages_ = 0;
    sent_bytes_ = 0;
    for (const std::unique_ptr<PublishBatch>& batch : batches_) batch->sent = false;
    refused = TakeTooLarge();
    std::deque<std::unique_ptr<PublishBatch>> again;
    for (std::unique_ptr<PublishBatch>& batch : batches_) {
      const uint64_t first = batch->columns.first_sequence();
      if (batch->unanswered == batch->size()) {
        again.push_back(std::move(batch));
        continue;
      }
      // What was answered must not be sent again: a message that was refused would perhaps be stored now.
      for (uint32_t begin = 0; begin < batch->size();) {
        uint32_t end = begin;
        while (end < batch->size() && SlotOf(first + end).batch == batch.get()) ++end;
        if (end > begin) {
          again.push_back(batch->Slice(begin, end));
          Adopt(*again.back());
        }
        begin = end + 1;
      }
    }
    batches_ = std::move(again);
    MoveOn();
  }
  RunAll(refused);
}

std::vector<PublishWindow::Answer> PublishWindow::TakeTooLarge() {
  std::vector<Answer> answers;
  for (uint64_t sequence = base_; sequence < next_; ++sequence) {
    const Slot& slot = SlotOf(sequence);
    if (slot.batch == nullptr || slot.bytes <= limits_.body_bytes_max + limits_.header_bytes_max) continue;
    TakeAnswer(sequence, answers);
    answers.back().error = InvalidArgument(reason::kBodyTooLarge,
                                           fmt::format("the broker came back with a lower limit: it takes "
                                                       "bodies of at most {} bytes",
                                                       limits_.body_bytes_max));
  }
  return answers;
}

void PublishWindow::OnDisconnected() {
  MutexLock lock(mutex_);
  connected_ = false;
}

void PublishWindow::SetCredit(uint32_t messages, uint64_t bytes) {
  MutexLock lock(mutex_);
  limits_.credit_messages = messages;
  limits_.credit_bytes = bytes;
  if (waiting_for_room_ > 0) room_.NotifyAll();
}

void PublishWindow::TakeAnswer(uint64_t sequence, std::vector<Answer>& answers) {
  Slot& slot = SlotOf(sequence);
  if (slot.batch == nullptr) return;  // answered before
  if (slot.batch->sent) {
    --sent_messages_;
    sent_bytes_ -= slot.bytes;
  }
  --slot.batch->unanswered;
  unanswered_bytes_ -= slot.bytes;
  slot.batch = nullptr;
  answers.push_back(Answer{.sequence = sequence,
                           .producer = std::move(slot.producer),
                           .done = std::move(slot.done),
                           .error = absl::OkStatus()});
}

absl::Status PublishWindow::OnConfirm(const v1::Confirm& confirm) {
  {
    MutexLock lock(mutex_);
    const uint64_t first = std::max(confirm.first_sequence(), base_);
    if (confirm.first_sequence() > confirm.last_sequence() || confirm.last_sequence() >= next_) {
      return InvalidArgument(
          reason::kProtocolViolation,
          fmt::format("the broker confirmed the sequences {} to {}; {} to {} are published",
                      confirm.first_sequence(), confirm.last_sequence(), base_, next_ - 1));
    }
    for (uint64_t sequence = first; sequence <= confirm.last_sequence(); ++sequence)
      TakeAnswer(sequence, answers_);
    DropAnsweredBatches();
    MoveOn();
  }
  absl::flat_hash_map<uint64_t, const v1::Error*> errors;
  for (const v1::PublishError& error : confirm.errors()) errors[error.sequence()] = &error.error();
  absl::flat_hash_map<uint64_t, bool> duplicates;
  for (const uint64_t sequence : confirm.duplicates()) duplicates[sequence] = true;

  const bool plain = errors.empty() && duplicates.empty() && confirm.ids().empty();
  const absl::StatusOr<Confirmation> stored(
      Confirmation{.message_id = {}, .durability = FromProto(confirm.durability()), .duplicate = false});
  for (Answer& answer : answers_) {
    if (plain) {
      if (answer.done) std::move(answer.done)(stored);
      continue;
    }
    if (const auto error = errors.find(answer.sequence); error != errors.end()) {
      answer.error = FromProto(*error->second);
      if (answer.done) std::move(answer.done)(answer.error);
      continue;
    }
    const absl::StatusOr<Confirmation> one(
        Confirmation{.message_id = IdText(confirm, answer.sequence - confirm.first_sequence()),
                     .durability = stored->durability,
                     .duplicate = duplicates.contains(answer.sequence)});
    if (answer.done) std::move(answer.done)(one);
  }
  Finish(answers_);
  answers_.clear();  // now, not with the next confirm: callbacks own things
  return absl::OkStatus();
}

void PublishWindow::RunAll(std::vector<Answer>& answers) {
  for (Answer& answer : answers) {
    if (answer.done) std::move(answer.done)(answer.error);
  }
  Finish(answers);
}

void PublishWindow::Finish(const std::vector<Answer>& answers) {
  MutexLock lock(mutex_);
  for (const Answer& answer : answers) {
    --answer.producer->unanswered;
    ++(answer.error.ok() ? answer.producer->counters.confirmed : answer.producer->counters.failed);
    if (answer.producer->first_error.ok()) answer.producer->first_error = answer.error;
  }
  finished_ = base_;
  if (waiting_for_answers_ > 0) answered_.NotifyAll();
}

void PublishWindow::MoveOn() {
  while (base_ < next_ && SlotOf(base_).batch == nullptr) ++base_;
  if (waiting_for_room_ > 0) room_.NotifyAll();
}

void PublishWindow::DropAnsweredBatches() {
  while (!batches_.empty() && batches_.front()->unanswered == 0) {
    if (sent_batches_ > 0) --sent_batches_;
    std::unique_ptr<PublishBatch> batch = std::move(batches_.front());
    batches_.pop_front();
    constexpr size_t kSpareMax = 8;
    if (spare_batches_.size() >= kSpareMax || batch->bytes > kBatchBytes) continue;
    batch->Clear();
    spare_batches_.push_back(std::move(batch));
  }
}

void PublishWindow::Fail(const absl::Status& error) {
  BATON_CHECK(!error.ok());
  std::vector<Answer> answers;
  {
    MutexLock lock(mutex_);
    if (failed_.ok()) failed_ = error;
    connected_ = false;
    for (uint64_t sequence = base_; sequence < next_; ++sequence) TakeAnswer(sequence, answers);
    batches_.clear();
    sent_batches_ = 0;
    MoveOn();
  }
  for (Answer& answer : answers) answer.error = error;
  RunAll(answers);
}

}  // namespace baton::client

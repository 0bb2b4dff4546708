#include "tests/support/broker_model.h"

#include <algorithm>

#include "base/check.h"

namespace baton {

const BrokerModel::Entry* BrokerModel::Find(Seq birth) const {
  const auto found = now_.entries.find(birth);
  return found == now_.entries.end() ? nullptr : &found->second;
}

Instant BrokerModel::DeadlineOf(const Entry& entry) const {
  if (entry.state == State::kParked) return kNever;
  const auto ttl = ttls_.find(entry.queue);
  if (ttl == ttls_.end() || ttl->second == Duration(0)) return entry.own_deadline;
  return std::min(entry.own_deadline, entry.arrived + ttl->second);
}

void BrokerModel::ClockMoved(Duration by) {
  for (auto& [seq, entry] : now_.entries) {
    if (EpochOf(entry.seq) == epoch) {
      entry.arrived += by;
      if (entry.own_deadline != kNever) entry.own_deadline += by;
    }
    if (entry.due_epoch == epoch) entry.due += by;
  }
}

BrokerModel::Entry& BrokerModel::At(const Message& message) {
  const auto found = now_.entries.find(message.id.seq);
  BATON_CHECK(found != now_.entries.end()) << "an arrow for a message that is gone: " << message.id.seq;
  Entry& entry = found->second;
  if (message.has_content()) {
    BATON_CHECK_EQ(entry.body, message.body);
  } else {
    BATON_CHECK_EQ(entry.bytes, message.bytes());
  }
  return entry;
}

void BrokerModel::Publish(const Message& message, Instant now) {
  BATON_CHECK_GT(message.seq, last_seq_);
  BATON_CHECK(!now_.entries.contains(message.seq));
  last_seq_ = message.seq;
  Entry entry{.id = message.id,
              .queue = message.queue->name,
              .in_memory = message.queue->is_memory(),
              .priority = message.priority,
              .seq = message.seq,
              .arrived = now,
              .own_deadline = message.own_deadline,
              .due = message.due,
              .due_epoch = epoch,
              .bytes = message.bytes(),
              .body = message.body};
  if (message.home == Message::Home::kDelayedRow) {
    BATON_CHECK(message.due > now);
    entry.state = State::kDelayed;
    entry.was_delayed = true;
  }
  BATON_CHECK(DeadlineOf(entry) > now);
  now_.entries.emplace(message.seq, std::move(entry));
  published_[message.seq] = next_commit;
  if (message.producer) {
    const std::pair key(message.producer, message.sequence);
    const bool fresh = now_.accepted.emplace(key, message.queue->is_memory()).second;
    BATON_CHECK(fresh) << "sequence " << message.sequence << " was stored twice";
  }
}

// Deliveries come in order: nothing ready in the same queue sorts before it.
void BrokerModel::CheckIsNext(const Entry& entry) const {
  for (const auto& [seq, other] : now_.entries) {
    if (other.queue != entry.queue || other.state != State::kReady || other.perhaps_delayed) continue;
    const bool before = std::pair(~other.priority, other.seq) < std::pair(~entry.priority, entry.seq);
    BATON_CHECK(!before) << "seq " << entry.seq << " overtook " << other.seq;
  }
}

void BrokerModel::OnArrow(Arrow arrow, const Message& message, Instant now) {
  ++arrows_[arrow];
  if (arrow == Arrow::kPublished) return Publish(message, now);
  Entry& entry = At(message);
  on_the_way_out_.erase(message.id.seq);
  switch (arrow) {
    case Arrow::kPublished:
      break;
    case Arrow::kWoken:
      BATON_CHECK(entry.state == State::kDelayed || entry.perhaps_delayed);
      BATON_CHECK(entry.due <= now && message.due_meant() == entry.due);
      entry.state = State::kReady;
      entry.perhaps_delayed = false;
      break;
    case Arrow::kDelivered:
      BATON_CHECK(entry.state == State::kReady) << "delivered, though not ready: " << entry.seq;
      BATON_CHECK(DeadlineOf(entry) > now) << "delivered after its deadline: " << entry.seq;
      BATON_CHECK_EQ(entry.attempts, message.attempts);
      CheckIsNext(entry);
      entry.state = State::kLeased;
      entry.holder = message.lease.number;
      entry.perhaps_delayed = false;
      ++deliveries_;
      break;
    case Arrow::kAcked:
      BATON_CHECK(entry.state == State::kLeased || entry.state == State::kReady ||
                  entry.state == State::kDelayed);
      ++acks_;
      acked_[message.id.seq] = next_commit;
      now_.entries.erase(message.id.seq);
      break;
    case Arrow::kReleased:
      BATON_CHECK(entry.state == State::kLeased);
      entry.state = State::kReady;
      break;
    case Arrow::kReturned:
      BATON_CHECK_EQ(entry.attempts + 1, message.attempts);
      // A token of an earlier life: to this one the message may still look delayed, though it was due then;
      // or a late nack of a delivery before that one delayed it.
      BATON_CHECK(entry.state == State::kLeased || entry.state == State::kReady ||
                  entry.state == State::kDelayed);
      ++entry.attempts;
      entry.perhaps_delayed = false;
      entry.state = State::kReady;
      if (message.queue->config.attempts_max != 0 && entry.attempts >= message.queue->config.attempts_max) {
        on_the_way_out_.insert(message.id.seq);
      }
      break;
    case Arrow::kReturnedLate:
      BATON_CHECK(entry.state == State::kReady || entry.state == State::kDelayed);
      BATON_CHECK(entry.attempts == message.attempts && entry.attempts > 0);
      BATON_CHECK(DeadlineOf(entry) > now) << "an expired message came back: " << entry.seq;
      entry.perhaps_delayed = false;
      entry.state = State::kReady;
      break;
    case Arrow::kDelayed:
      BATON_CHECK(entry.state == State::kReady && message.due > now);
      entry.state = State::kDelayed;
      entry.was_delayed = true;
      entry.due = message.due;
      entry.due_epoch = epoch;
      break;
    case Arrow::kExpired:
      BATON_CHECK(DeadlineOf(entry) <= now) << "expired early";
      BATON_CHECK(entry.state != State::kLeased);
      on_the_way_out_.insert(message.id.seq);
      break;
    case Arrow::kDeadLettered:
      BATON_CHECK_GT(message.seq, last_seq_);
      last_seq_ = message.seq;
      BATON_CHECK_EQ(entry.in_memory, message.queue->is_memory());
      entry.queue = message.queue->name;
      entry.seq = message.seq;
      entry.attempts = 0;
      entry.state = State::kReady;
      entry.was_delayed = entry.perhaps_delayed = false;
      entry.arrived = now;
      entry.own_deadline = kNever;
      entry.bytes = message.bytes();
      break;
    case Arrow::kParked:
      BATON_CHECK(message.deadline() == kNever && message.hint == kNever)
          << "a parked message would expire: " << entry.seq;
      entry.state = State::kParked;
      entry.attempts = message.attempts;
      entry.perhaps_delayed = false;
      break;
    case Arrow::kDropped:
      now_.entries.erase(message.id.seq);
      break;
  }
}

void BrokerModel::CheckNothingOnItsWay() const {
  BATON_CHECK(on_the_way_out_.empty())
      << "message " << *on_the_way_out_.begin() << " should have left its queue";
}

void BrokerModel::Purged(const std::string& queue) {
  std::erase_if(now_.entries, [&](const auto& entry) { return entry.second.queue == queue; });
}

void BrokerModel::Committed(CommitNumber number) { commits_[number] = now_; }

void BrokerModel::Synced(CommitNumber number) {
  commits_.erase(commits_.begin(), commits_.lower_bound(number));
}

void BrokerModel::Keep(const Memory& from, bool in_memory, Memory& to) {
  for (const auto& [seq, entry] : from.entries) {
    if (entry.in_memory == in_memory) to.entries.emplace(seq, entry);
  }
  for (const auto& [key, by_memory_queue] : from.accepted) {
    if (by_memory_queue == in_memory) to.accepted.emplace(key, by_memory_queue);
  }
}

void BrokerModel::Crashed(CommitNumber survived_on_disk, bool memory_survived) {
  on_the_way_out_.clear();
  now_ = {};
  Keep(survived_on_disk ? commits_.at(survived_on_disk) : before_, false, now_);
  if (memory_survived) Keep(commits_.empty() ? before_ : commits_.rbegin()->second, true, now_);
  commits_.clear();
  published_.clear();
  acked_.clear();
  for (auto& [seq, entry] : now_.entries) {
    if (entry.state == State::kLeased) entry.state = State::kReady;
    entry.perhaps_delayed = entry.was_delayed && entry.state == State::kReady;
  }
  before_ = now_;
}

BrokerModel::Counts BrokerModel::CountsOf(const std::string& queue) const {
  Counts counts;
  for (const auto& [seq, entry] : now_.entries) {
    if (entry.queue != queue) continue;
    counts.bytes += entry.bytes;
    if (entry.perhaps_delayed) ++counts.perhaps_delayed;
    switch (entry.state) {
      case State::kReady:
        ++counts.ready;
        break;
      case State::kLeased:
        ++counts.leased;
        break;
      case State::kDelayed:
        ++counts.delayed;
        break;
      case State::kParked:
        ++counts.parked;
        break;
    }
  }
  return counts;
}

uint64_t BrokerModel::arrows(Arrow arrow) const {
  const auto found = arrows_.find(arrow);
  return found == arrows_.end() ? 0 : found->second;
}

}  // namespace baton

#include "tests/support/promise_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.h"

namespace baton {
namespace {

constexpr size_t kComplaintsMax = 20;

std::string Text(const LeaseToken& token) {
  return fmt::format("delivery {} of epoch {}, attempt {}", token.delivery.value(), token.epoch.value(),
                     token.attempt);
}

}  // namespace

void PromiseBook::AllowRefusals() {
  const std::lock_guard lock(mutex_);
  allows_refusals_ = true;
}

void PromiseBook::Publishing(const std::string& key, const Published& message) {
  const std::lock_guard lock(mutex_);
  ++totals_.published;
  if (!entries_.emplace(key, Entry{.message = message}).second) Complain(key, "the test published it twice");
}

void PromiseBook::Answered(const std::string& key, const absl::StatusOr<Confirmation>& answer) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_.at(key);
  if (std::exchange(entry.answered, true)) return Complain(key, "its publish was answered twice");
  const std::string word = answer.ok() ? "" : ReasonOf(answer.status());
  if (allows_refusals_ && (word == reason::kDiskFull || word == reason::kQueueFull)) {
    entry.refused = true;
    ++totals_.refused;
    return;
  }
  if (!answer.ok()) return Complain(key, fmt::format("its publish failed: {}", answer.status().ToString()));
  ++totals_.confirmed;
  if (answer->duplicate) ++totals_.duplicates;
  entry.confirmed_id = MessageId::FromText(answer->message_id);
  if (!answer->duplicate && !entry.confirmed_id.has_value()) Complain(key, "it was confirmed without an id");
}

void PromiseBook::Delivered(const Seen& seen) {
  const std::lock_guard lock(mutex_);
  ++totals_.delivered;
  if (seen.redelivered) ++totals_.redelivered;
  const auto found = entries_.find(seen.key);
  if (found == entries_.end()) return Complain(seen.key, "was delivered, and was not published like this");
  CheckDelivered(found->second, seen);
  const SeenDelivery delivery{.attempt = seen.token.attempt, .at = seen.at};
  Copy& copy = found->second.copies[seen.token.id];
  if (!copy.deliveries.emplace(OrderOf(seen.token), delivery).second) {
    Complain(seen.key, fmt::format("{} came twice", Text(seen.token)));
  }
}

void PromiseBook::CheckDelivered(const Entry& entry, const Seen& seen) {
  const Published& message = entry.message;
  if (seen.queue != message.queue) Complain(seen.key, fmt::format("came from queue {}", seen.queue));
  if (seen.priority != message.priority) {
    Complain(seen.key, fmt::format("has priority {}, not {}", seen.priority, message.priority));
  }
  if (seen.at + kClockSlack < message.not_before)
    Complain(seen.key, "was delivered before its delay was over");
  const bool again = seen.token.attempt > 1 || EpochOf(seen.token.id.seq) < seen.token.epoch;
  if (seen.redelivered != again) {
    Complain(seen.key, fmt::format("{} says redelivered = {}", Text(seen.token), seen.redelivered));
  }
}

void PromiseBook::AckSent(const std::string& key, const LeaseToken& token) {
  const std::lock_guard lock(mutex_);
  ++totals_.acks_unanswered;
  entries_.at(key).copies.at(token.id).acks_under_way.emplace(OrderOf(token), deaths_);
}

void PromiseBook::AckAnswered(const std::string& key, const LeaseToken& token, const absl::Status& status) {
  const std::lock_guard lock(mutex_);
  --totals_.acks_unanswered;
  Copy& copy = entries_.at(key).copies.at(token.id);
  const auto sent = copy.acks_under_way.extract(OrderOf(token));
  if (status.ok()) {
    ++totals_.acked;
    if (copy.acked.has_value()) Complain(key, "was acked twice");
    copy.acked = OrderOf(token);
    return;
  }
  ++totals_.acks_refused;
  const std::string word = ReasonOf(status);
  if (word == reason::kMessageNotFound) {
    // An ack that went to a broker that is dead may have taken effect there. One that no kill can have
    // overtaken was refused because the message had gone before, by somebody else's doing.
    if (sent.mapped() < deaths_) copy.perhaps_acked = true;
  } else if (word != reason::kLeaseLost) {
    Complain(key, fmt::format("the ack of {} was answered {}", Text(token), status.ToString()));
  }
}

void PromiseBook::NackAnswered(const std::string& key, const LeaseToken& token, const absl::Status& status,
                               Time not_before) {
  const std::lock_guard lock(mutex_);
  if (!status.ok()) return;
  entries_.at(key).copies.at(token.id).nacked.push_back(
      {.order = OrderOf(token), .attempt = token.attempt, .not_before = not_before});
}

void PromiseBook::BrokerDied() {
  const std::lock_guard lock(mutex_);
  ++deaths_;
}

PromiseBook::Totals PromiseBook::totals() const {
  const std::lock_guard lock(mutex_);
  return totals_;
}

bool PromiseBook::IsAcked(const Entry& entry) {
  return std::any_of(entry.copies.begin(), entry.copies.end(),
                     [](const auto& copy) { return copy.second.acked.has_value(); });
}

bool PromiseBook::IsPerhapsAcked(const Entry& entry) {
  return std::any_of(entry.copies.begin(), entry.copies.end(), [](const auto& copy) {
    return copy.second.perhaps_acked || !copy.second.acks_under_way.empty();
  });
}

void PromiseBook::CheckInventory(const std::vector<Listed>& inventory) {
  const std::lock_guard lock(mutex_);
  std::set<std::string> there;
  for (const Listed& listed : inventory) {
    const auto found = entries_.find(listed.key);
    if (found == entries_.end()) {
      Complain(listed.key, "is stored, and was not published like this");
      continue;
    }
    const Entry& entry = found->second;
    if (!there.insert(listed.key).second) Complain(listed.key, "is stored twice");
    if (listed.queue != entry.message.queue) Complain(listed.key, "is stored in " + listed.queue);
    if (entry.refused) Complain(listed.key, "is stored, and its publish was refused");
    if (IsAcked(entry)) Complain(listed.key, "is still stored after its ack was confirmed");
    const auto id = MessageId::FromText(listed.message_id);
    if (entry.confirmed_id.has_value() && entry.confirmed_id != id) {
      Complain(listed.key, "is stored under another id than was confirmed");
    }
    if (!id.has_value() || !entry.copies.contains(*id)) continue;
    for (const Nacked& nacked : entry.copies.at(*id).nacked) {
      if (listed.attempts < nacked.attempt)
        Complain(listed.key, "has lost an attempt whose nack was confirmed");
    }
  }
  for (const auto& [key, entry] : entries_) {
    if (entry.answered && !entry.refused && !IsAcked(entry) && !IsPerhapsAcked(entry) &&
        !there.contains(key)) {
      Complain(key, "was confirmed, never acked, and is not stored");
    }
  }
}

std::vector<std::string> PromiseBook::Judge() {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, entry] : entries_) JudgeEntry(key, entry);
  return complaints_;
}

void PromiseBook::JudgeEntry(const std::string& key, const Entry& entry) {
  if (!entry.answered) return Complain(key, "its publish was never answered");
  if (entry.refused) return;  // perhaps delivered before, by a broker that lost it
  if (!IsAcked(entry) && !IsPerhapsAcked(entry)) {
    return Complain(key, "is lost: it was confirmed, nobody acked it, and it is not there");
  }
  JudgeCopies(key, entry);
  for (const auto& [id, copy] : entry.copies) JudgeCopy(key, id, copy);
}

void PromiseBook::JudgeCopies(const std::string& key, const Entry& entry) {
  if (entry.copies.empty()) return;
  if (entry.message.committed_delivery && entry.copies.size() > 1) {
    Complain(key, "was delivered as two messages by a queue that delivers only what is committed");
  }
  std::map<Seq, MessageId> by_birth;
  for (const auto& [id, copy] : entry.copies) by_birth.emplace(id.seq, id);
  const MessageId last = by_birth.rbegin()->second;
  if (entry.confirmed_id.has_value() && entry.confirmed_id->seq < last.seq) {
    Complain(key, "was stored again after it was confirmed");
  }
  if (entry.confirmed_id.has_value() && !entry.copies.contains(*entry.confirmed_id)) {
    Complain(key,
             fmt::format("was confirmed as {}, which was never delivered", entry.confirmed_id->ToText()));
  }
  for (const auto& [id, copy] : entry.copies) {
    if (id == last) continue;
    ++totals_.lost_copies;
    const Epoch birth = EpochOf(id.seq);
    const bool seen_later = !copy.deliveries.empty() && copy.deliveries.rbegin()->first.epoch > birth.value();
    if (birth == EpochOf(last.seq) || seen_later) Complain(key, "was stored twice: both messages lived");
    if (copy.acked.has_value()) Complain(key, "was stored again after its ack was confirmed");
  }
}

void PromiseBook::JudgeCopy(const std::string& key, const MessageId& id, const Copy& copy) {
  const auto [epoch, number] = copy.deliveries.rbegin()->first;
  if (copy.acked.has_value() && *copy.acked < copy.deliveries.rbegin()->first) {
    Complain(key, fmt::format("{} was delivered again (delivery {} of epoch {}) after the ack of delivery {} "
                              "of epoch {} was confirmed",
                              id.ToText(), number, epoch, copy.acked->number, copy.acked->epoch));
  }
  for (const Nacked& nacked : copy.nacked) {
    for (auto next = copy.deliveries.upper_bound(nacked.order); next != copy.deliveries.end(); ++next) {
      if (next->second.attempt <= nacked.attempt) {
        Complain(key, fmt::format("came as attempt {} after a confirmed nack of attempt {}",
                                  next->second.attempt, nacked.attempt));
      }
      if (next->second.at + kClockSlack < nacked.not_before)
        Complain(key, "came before the nack's delay was over");
    }
  }
}

void PromiseBook::Complain(const std::string& key, const std::string& what) {
  if (complaints_.size() < kComplaintsMax) complaints_.push_back(fmt::format("\"{}\" {}", key, what));
}

}  // namespace baton

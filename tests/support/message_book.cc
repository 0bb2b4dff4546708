#include "tests/support/message_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace baton {

void MessageBook::Complain(const std::string& key, std::string_view what) {
  complaint_ += fmt::format("{}: {}\n", key, what);
}

void MessageBook::Published(const std::string& key, const New& message, Turn turn) {
  Entry entry;
  entry.message = message;
  entry.published = {.turn = turn};
  BATON_CHECK(entries_.emplace(key, std::move(entry)).second) << key;
  keys_.push_back(key);
}

void MessageBook::Replayed(const std::string& key, Turn turn) { entries_.at(key).replayed = turn; }

void MessageBook::Confirmed(const std::string& key, bool duplicate) {
  Entry& entry = entries_.at(key);
  const std::optional<Turn> replayed = std::exchange(entry.replayed, std::nullopt);
  if (!replayed.has_value()) {
    if (duplicate) Complain(key, "was published once, and is said to be a duplicate");
    return;
  }
  if (duplicate) {  // it was there all the time
    entry.published = {.turn = 0};
    return;
  }
  if (IsCertain(entry.published)) Complain(key, "was stored, and is stored again");
  entry.published = {.turn = *replayed};
  // What was done to the first one is void. What was done in this life may have come before this answer.
  for (std::optional<Deed>* deed : {&entry.acked, &entry.purged, &entry.given_up}) {
    if (deed->has_value() && (*deed)->turn < *replayed) deed->reset();
  }
  entry.attempts_min = 0;
  entry.attempts_max = entry.returned.has_value() ? entry.returned->how.attempts : 0;
}

void MessageBook::Acked(const std::string& key, Turn turn) { entries_.at(key).acked = Deed{.turn = turn}; }

void MessageBook::LateAckAnswered(const std::string& key, Answer answer, Instant now) {
  Entry& entry = entries_.at(key);
  entry.late_ack = false;
  switch (answer) {
    case Answer::kDone:
      entry.acked = Deed{};
      break;
    case Answer::kDoneForNow:
      entry.acked = Deed{.turn = 0, .perhaps = true};
      break;
    case Answer::kGone:  // done before; or it never was stored, and may come again
      if (IsLost(entry, now)) Complain(key, "is lost, says the answer to an ack");
      entry.acked = Deed{.turn = 0, .perhaps = !IsCertain(entry.published)};
      break;
    case Answer::kRefused:
      break;
  }
}

void MessageBook::Returned(const std::string& key, const Return& how, Turn turn) {
  Entry& entry = entries_.at(key);
  entry.returned = LastReturn{.deed = {.turn = turn}, .how = how, .due_before = entry.message.due};
  entry.message.due = std::max(entry.message.due, how.due);
  entry.attempts_max = std::max(entry.attempts_max, how.attempts);
  if (how.gives_up.has_value()) {
    entry.given_up = Deed{.turn = turn};
    entry.given_up_to = *how.gives_up;
  }
}

void MessageBook::Purged(const std::string& queue, Turn turn) {
  for (auto& [key, entry] : entries_) {
    // What perhaps happened in an earlier life may not have.
    const auto is_done = [](const std::optional<Deed>& deed) { return deed.has_value() && !deed->perhaps; };
    if (entry.message.queue != queue || is_done(entry.acked) || is_done(entry.purged)) continue;
    const bool left = entry.given_up.has_value() && entry.given_up_to != Place::kParked;
    if (left && is_done(entry.given_up)) continue;
    entry.purged = Deed{.turn = turn, .perhaps = left};
  }
}

void MessageBook::Settle(std::optional<Deed>& deed) const {
  if (deed.has_value()) *deed = IsCertain(*deed) ? Deed{} : Deed{.turn = 0, .perhaps = true};
}

void MessageBook::Crashed() {
  for (auto& [key, entry] : entries_) {
    entry.published = IsCertain(entry.published) ? Deed{} : Deed{.turn = 0, .perhaps = true};
    if (std::exchange(entry.late_ack, false) && !entry.acked.has_value())
      entry.acked = Deed{.turn = UINT64_MAX};
    Settle(entry.acked);
    Settle(entry.purged);
    Settle(entry.given_up);
    entry.replayed.reset();
    if (!entry.returned.has_value()) continue;
    if (IsCertain(entry.returned->deed)) {
      entry.attempts_min = std::max(entry.attempts_min, entry.returned->how.attempts);
    } else {
      entry.message.due = entry.returned->due_before;
    }
    entry.returned.reset();
  }
  promised_ = 0;  // turns of earlier lives are settled
}

void MessageBook::CheckSeen(const std::string& key, const Entry& entry, Place place, uint32_t attempt,
                            Instant now) {
  if (entry.acked.has_value() && !entry.acked->perhaps) Complain(key, "was acked, and is there");
  if (entry.purged.has_value() && !entry.purged->perhaps) Complain(key, "was purged, and is there");
  if (entry.message.due > now) Complain(key, "is there before it is due");
  if (place != Place::kQueue) {
    if (!entry.given_up.has_value() || entry.given_up_to != place) {
      Complain(key, "was given up without a reason, or to the wrong place");
    }
    return;
  }
  if (entry.given_up.has_value() && !entry.given_up->perhaps)
    Complain(key, "was given up, and is in its queue");
  if (entry.message.deadline <= now) Complain(key, "is there after its deadline");
  if (attempt <= entry.attempts_min || attempt > entry.attempts_max + 1) {
    Complain(key, fmt::format("attempt {}, after at least {} and at most {} that ended", attempt,
                              entry.attempts_min, entry.attempts_max));
  }
}

void MessageBook::Seen(const std::string& key, Place place, uint32_t attempt, Instant now) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return Complain(key, "was never published");
  Entry& entry = found->second;
  CheckSeen(key, entry, place, attempt, now);
  entry.seen = true;
  // It has survived; unless it may have been stored just now, by a replay that is not answered.
  if (entry.published.perhaps && !entry.replayed.has_value()) entry.published = Deed{};
  entry.acked.reset();
  entry.purged.reset();
  if (place == Place::kQueue) {
    entry.given_up.reset();
    // What was returned in this life may yet be forgotten.
    if (!entry.returned.has_value()) entry.attempts_min = entry.attempts_max = attempt - 1;
  } else if (entry.given_up.has_value() && entry.given_up->perhaps) {
    entry.given_up = Deed{};
  }
}

void MessageBook::BeginInventory() {
  for (auto& [key, entry] : entries_) entry.seen = false;
}

// That nobody shows it can mean nothing else.
bool MessageBook::IsLost(const Entry& entry, Instant now) const {
  if (!IsCertain(entry.published) || entry.acked.has_value() || entry.purged.has_value()) return false;
  return entry.message.deadline > now || (entry.given_up.has_value() && IsCertain(*entry.given_up));
}

void MessageBook::EndInventory(Instant now) {
  for (const auto& [key, entry] : entries_) {
    if (!entry.seen && IsLost(entry, now)) Complain(key, "is lost");
  }
}

}  // namespace baton

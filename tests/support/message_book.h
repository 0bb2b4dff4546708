// What a scenario did to each of its messages, and therefore what a broker that keeps its promises may show
// after a crash. It knows nothing of the broker's inside: only commands, in which turn they took effect, and
// answers.
//
// Turns take effect in order and wholly. A confirmation promises the turn it is about, and every turn before
// it. So after a crash each deed is certain (its turn was promised) or perhaps done; what is then seen
// settles it.
//
// What is wrong is gathered as complaints; a test asserts that there are none.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace baton {

class MessageBook {
 public:
  using Turn = uint64_t;
  // Where messages are that were given up.
  enum class Place : uint8_t { kQueue, kDeadLetters, kParked };

  struct New {
    std::string queue;
    uint32_t priority = 0;
    Instant due;                // not to be seen before
    Instant deadline = kNever;  // not to be seen from then on
  };

  // `key` is unique: part of the body.
  void Published(const std::string& key, const New& message, Turn turn);
  // Sent again under its sequence, because it was not confirmed before the crash.
  void Replayed(const std::string& key, Turn turn);
  void Confirmed(const std::string& key, bool duplicate);

  void Acked(const std::string& key, Turn turn);
  // An ack (or a deletion) that takes effect in some later turn: done, if at all, when it is answered.
  // kDoneForNow: the answer promises nothing for a power loss.
  enum class Answer : uint8_t { kDone, kDoneForNow, kGone, kRefused };
  void LateAckSent(const std::string& key) { entries_.at(key).late_ack = true; }
  void LateAckAnswered(const std::string& key, Answer answer, Instant now);

  struct Return {
    uint32_t attempts = 0;  // that have ended, with this one
    Instant due;            // of the next attempt
    std::optional<Place> gives_up;
  };
  void Returned(const std::string& key, const Return& how, Turn turn);
  // All of the queue's messages that have not left it.
  void Purged(const std::string& queue, Turn turn);

  // A confirmation that holds: this turn and all before it survive.
  void Promised(Turn turn) { promised_ = std::max(promised_, turn); }
  void Crashed();

  // The broker shows the message: delivered (attempt 1, 2 …) or listed as parked (attempt 0).
  void Seen(const std::string& key, Place place, uint32_t attempt, Instant now);
  // Everything the broker holds has been Seen since this was called.
  void BeginInventory();
  void EndInventory(Instant now);

  Instant deadline(const std::string& key) const { return entries_.at(key).message.deadline; }
  // In the order of publishing.
  const std::vector<std::string>& keys() const { return keys_; }
  bool IsPromised(const std::string& key) const { return IsCertain(entries_.at(key).published); }
  // "" when all is well.
  std::string complaint() const { return complaint_; }

 private:
  struct Deed {
    Turn turn = 0;
    bool perhaps = false;  // done before a crash, and not promised
  };
  struct LastReturn {
    Deed deed;
    Return how;
    Instant due_before;
  };
  struct Entry {
    New message;
    Deed published;
    std::optional<Turn> replayed;
    std::optional<Deed> acked;
    bool late_ack = false;  // not answered
    std::optional<Deed> purged;
    std::optional<Deed> given_up;
    Place given_up_to = Place::kQueue;
    std::optional<LastReturn> returned;
    uint32_t attempts_min = 0;
    uint32_t attempts_max = 0;
    bool seen = false;  // in this inventory
  };

  bool IsLost(const Entry& entry, Instant now) const;
  bool IsCertain(const Deed& deed) const { return !deed.perhaps && deed.turn <= promised_; }
  void Settle(std::optional<Deed>& deed) const;
  void CheckSeen(const std::string& key, const Entry& entry, Place place, uint32_t attempt, Instant now);
  void Complain(const std::string& key, std::string_view what);

  std::map<std::string, Entry> entries_;
  std::vector<std::string> keys_;
  Turn promised_ = 0;
  std::string complaint_;
};

}  // namespace baton

// What a broker has told its clients over many kills of its process and of theirs, what they saw of it, and
// whether that fits together. It knows nothing of the broker's inside.
//
// Reports may come late and in any order (a killed consumer's come when its file is read): deliveries are
// compared by the broker's own numbers, epoch and delivery, never by the order of the reports. That is exact
// as long as no lease ends while its consumer lives.
//
// Publishing again what was not confirmed may give one body two messages, when the first was delivered ahead
// of its commit and lost with it. So of a body's messages all but the last born must have been lost at the
// end of the epoch they were born in; anything else is a body that was stored twice.
//
// What is wrong is gathered as complaints; a test asserts that there are none. THREADS: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/message_id.h"
#include "baton/message.h"

namespace baton {

class PromiseBook {
 public:
  using Time = std::chrono::system_clock::time_point;
  // How far the broker's clock may be from ours.
  static constexpr std::chrono::milliseconds kClockSlack{50};

  struct Published {
    std::string queue;
    uint32_t priority = 0;
    bool committed_delivery = false;  // the queue delivers nothing that a kill can take back
    Time not_before = {};
  };
  // From now on a publish may be refused for want of room; then it must not be stored.
  void AllowRefusals();
  // `key` is unique, and stands in the body.
  void Publishing(const std::string& key, const Published& message);
  void Answered(const std::string& key, const absl::StatusOr<Confirmation>& answer);

  struct Seen {
    std::string queue;
    std::string key;  // "" = the body is not whole
    LeaseToken token;
    uint32_t priority = 0;
    bool redelivered = false;
    Time at = {};
  };
  void Delivered(const Seen& seen);

  // From now on the ack may take effect, whether or not it is answered.
  void AckSent(const std::string& key, const LeaseToken& token);
  void AckAnswered(const std::string& key, const LeaseToken& token, const absl::Status& status);
  // `not_before`: of the next attempt.
  void NackAnswered(const std::string& key, const LeaseToken& token, const absl::Status& status,
                    Time not_before);

  // The broker was killed, and is gone. REQUIRES: no other has been started yet.
  void BrokerDied();

  // Everything a broker without consumers holds.
  struct Listed {
    std::string key;
    std::string queue;
    std::string message_id;
    uint32_t attempts = 0;
  };
  void CheckInventory(const std::vector<Listed>& inventory);

  struct Totals {
    uint64_t published = 0;
    uint64_t confirmed = 0;
    uint64_t refused = 0;     // for want of room
    uint64_t duplicates = 0;  // confirmed as stored by an earlier attempt
    uint64_t delivered = 0;
    uint64_t redelivered = 0;
    uint64_t acked = 0;            // confirmed acks
    uint64_t acks_refused = 0;     // gone, or delivered again
    uint64_t acks_unanswered = 0;  // perhaps done: the answer was lost with a process
    uint64_t lost_copies = 0;      // delivered ahead of a commit that a kill took back
  };
  Totals totals() const;

  // What is wrong, at most 20 of them. REQUIRES: every queue was emptied by acks.
  std::vector<std::string> Judge();

 private:
  struct DeliveryOrder {
    uint32_t epoch = 0;
    uint64_t number = 0;
    friend auto operator<=>(const DeliveryOrder&, const DeliveryOrder&) = default;
  };
  struct SeenDelivery {
    uint32_t attempt = 0;
    Time at;
  };
  struct Nacked {
    DeliveryOrder order;
    uint32_t attempt = 0;
    Time not_before;
  };
  // One message that holds a body.
  struct Copy {
    std::map<DeliveryOrder, SeenDelivery> deliveries;
    std::optional<DeliveryOrder> acked;
    bool perhaps_acked = false;
    std::map<DeliveryOrder, uint64_t> acks_under_way;  // and how often the broker had died before
    std::vector<Nacked> nacked;
  };
  struct Entry {
    Published message;
    bool answered = false;
    bool refused = false;
    std::optional<MessageId> confirmed_id;  // of an answer that tells it
    std::map<MessageId, Copy> copies;
  };

  static DeliveryOrder OrderOf(const LeaseToken& token) {
    return {token.epoch.value(), token.delivery.value()};
  }
  static bool IsAcked(const Entry& entry);
  static bool IsPerhapsAcked(const Entry& entry);
  void CheckDelivered(const Entry& entry, const Seen& seen);
  void JudgeEntry(const std::string& key, const Entry& entry);
  void JudgeCopies(const std::string& key, const Entry& entry);
  void JudgeCopy(const std::string& key, const MessageId& id, const Copy& copy);
  void Complain(const std::string& key, const std::string& what);

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::string, Entry> entries_;
  uint64_t deaths_ = 0;
  bool allows_refusals_ = false;
  Totals totals_;
  std::vector<std::string> complaints_;
};

}  // namespace baton

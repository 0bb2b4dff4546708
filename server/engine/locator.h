// Finds a message that may not be in memory: by point reads of its place of birth and its locator. Commands
// on such a message have two phases: read, then check again and decide. Whatever changes a message meanwhile
// calls Touch, and the read starts again; commands on the same message queue behind one read. Searches are
// told apart by the whole id: who makes one up finds nothing, and keeps nobody else from finding the true
// one.
//
// While there is no room for another read, searches wait for it, in order. Whoever could as well be refused
// asks MayFind first.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "server/engine/life_cycle.h"
#include "server/engine/reads.h"

namespace baton {

class Locator {
 public:
  // Called once, at once when the message is in memory, else in a later turn. nullptr: there is no such
  // message. The message may be a passing view of its row (state kSpilled): decide with LifeCycle, or leave
  // it; do not keep it.
  using Decide = absl::AnyInvocable<void(Message* message, Instant now)>;

  Locator(BrokerState* state, LifeCycle* life_cycle, Reads* reads)
      : state_(*state), life_cycle_(*life_cycle), reads_(*reads) {}

  // Called instead when the rows that would tell cannot be read; without one, there is no such message.
  using Fail = absl::AnyInvocable<void(const absl::Status& why)>;

  // What the decision needs of a message in memory: one that is leased may have left its content in its row.
  enum class Need : uint8_t { kState, kContent };

  void Find(const MessageId& id, Instant now, Decide decide, Fail fail = nullptr, Need need = Need::kState);
  // Whoever can wait asks first: there is room for another search.
  bool HasRoom() const { return waiting() < kSearchesMax; }
  // For what the broker does by itself: half of the room stays for those who ask.
  bool HasRoomToSpare() const { return waiting() < kSearchesMax / 2; }
  // There is room for another search, or none is needed.
  bool MayFind(const MessageId& id, Need need) const;
  static bool Has(const Message& message, Need need) { return need == Need::kState || message.has_content(); }
  // The message changed, entered memory or left it.
  void Touch(Seq birth);
  // Starts reads for what is looked for, many messages by each. At the end of a turn.
  void StartReads();

 private:
  static constexpr size_t kSearchesMax = 4'096;

  struct Asking {
    Decide decide;
    Fail fail;
    Need need;
  };
  struct Search {
    std::vector<Asking> waiting;
    bool touched = false;
  };
  struct BySeq {
    bool operator()(const MessageId& a, const MessageId& b) const {
      return a.seq != b.seq ? a.seq < b.seq : a < b;
    }
  };

  using OnOne = absl::AnyInvocable<void(const MessageId& id, const Row& row, Instant now)>;
  void ReadMany(std::deque<MessageId>& waiting, absl::FunctionRef<std::string(const MessageId&)> key_of,
                std::string (*companion)(std::string_view row_key), OnOne on_one);
  void ReadRow(const MessageId& id, std::string row_key);
  size_t waiting() const { return to_start_.size() + to_locate_.size(); }
  // The message is in memory, with all that a row could tell of it.
  bool IsResident(const MessageId& id) const;
  // False: the search has to start again, and did.
  bool StillTrue(const MessageId& id);
  void OnBirthPlace(const MessageId& id, const Row& row, Instant now);
  void OnLocator(const MessageId& id, const Row& row, Instant now);
  void OnRow(const MessageId& id, const Row& row, Instant now);
  void Give(const MessageId& id, const absl::Status& why, Instant now);
  void Fill(const MessageId& id, std::unique_ptr<Message> view);
  void Conclude(const MessageId& id, std::unique_ptr<Message> view, Instant now);

  BrokerState& state_;
  LifeCycle& life_cycle_;
  Reads& reads_;
  std::map<MessageId, Search, BySeq> pending_;
  std::deque<MessageId> to_start_;   // of these, without a read yet
  std::deque<MessageId> to_locate_;  // not at their place of birth, their locator not read yet
  size_t reads_of_many_ = 0;         // on their way
};

}  // namespace baton

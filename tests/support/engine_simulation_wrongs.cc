// What goes wrong in a simulated history: clients that make up ids or keep them for too long, and rows that
// cannot be read.
#include <algorithm>
#include <optional>
#include <string>

#include "base/check.h"
#include "tests/support/engine_simulation.h"

namespace baton {

// ---- Ids.

MessageId EngineSimulation::MadeUpId() {
  MessageId id;
  id.seq = MakeSeq(Epoch(static_cast<uint32_t>(Below(epoch_.value() + 2))), 1 + Below(200));
  id.queue = QueueId(static_cast<uint32_t>(Below(6)) | (Chance(30) ? kMemoryQueueBit : 0));
  if (!held_.empty() && Chance(80)) id = held_[Below(held_.size())].token.id;
  const MessageId genuine = id;
  std::optional<MessageId> made;
  while (!made.has_value() || *made == genuine) {
    id = genuine;
    if (Chance(30)) id.place ^= uint64_t{1} << Below(64);
    if (Chance(30)) id.queue = QueueId(id.queue.value() ^ (1u << Below(32)));
    if (Chance(30))
      id.birth = id.birth == MessageId::Birth::kReady ? MessageId::Birth::kDelayed : MessageId::Birth::kReady;
    if (Chance(20)) id.lane = static_cast<uint32_t>(Below(1u << 24));
    std::string bytes;
    id.AppendTo(bytes);
    made = MessageId::FromBytes(bytes);  // what a transport lets through
  }
  return *made;
}

// An id of ours, or one that has long gone.
void EngineSimulation::AskForNonsense() {
  const bool made_up = held_.empty() || Chance(60);
  const MessageId id = made_up ? MadeUpId() : held_[Below(held_.size())].token.id;
  const CallId call = NextCall();
  if (made_up) made_up_.insert(call);
  asked_.emplace(call, id);
  if (made_up && Chance(40)) {
    SettleTokens settle{.call = call, .settlement = {.kind = SettleKind::kAck}, .tokens = {}};
    LeaseToken token{.epoch = epoch_, .delivery = DeliveryNumber(1 + Below(20)), .attempt = 1, .id = id};
    if (!held_.empty() && Chance(80)) token = held_[Below(held_.size())].token;
    token.id = id;
    if (Chance(50)) settle.settlement.kind = SettleKind::kNack;
    settle.tokens = {token};
    Send(std::move(settle));
  } else if (Chance(50)) {
    Send(GetMessage{.call = call, .id = id});
  } else {
    Send(DeleteMessage{.call = call, .id = id});
  }
}

// Nothing that was made up is there, and an answer is of what was asked for.
void EngineSimulation::CheckAnswer(CallId call, const absl::StatusOr<Reply>& reply) {
  const auto asked = asked_.extract(call);
  if (asked.empty()) return;
  const absl::StatusCode code = reply.status().code();
  const auto* settled = reply.ok() ? std::get_if<SettleReply>(&*reply) : nullptr;
  const bool ok = settled != nullptr ? settled->results.at(0).ok() : reply.ok();
  BATON_CHECK(!ok || made_up_.erase(call) == 0) << "there is nothing by an id that nobody was given";
  if (const auto* info = reply.ok() ? std::get_if<MessageInfo>(&*reply) : nullptr)
    BATON_CHECK(info->id == asked.mapped());
  BATON_CHECK(code != absl::StatusCode::kDataLoss || IsDamaged(asked.mapped()))
      << "a message suffers from another one's damage: " << asked.mapped().seq;
}

// ---- Damage.

bool EngineSimulation::IsDamaged(const MessageId& id) const { return damaged_.contains(id.seq); }

// One row of one message, or of what leads to it.
void EngineSimulation::DamageSome() {
  if (Chance(30)) {
    store_.Heal();
    return;
  }
  const std::string key = store_.AnyRowOfAMessage(random_());
  if (key.empty()) return;
  Seq seq;
  for (const char byte : key.substr(key.size() - sizeof(uint64_t)))
    seq = Seq(seq.value() << 8 | static_cast<unsigned char>(byte));
  damaged_.insert(seq);  // of a locator, and of most rows
  for (const auto& [birth, entry] : model_.entries())
    if (entry.seq == seq) damaged_.insert(birth);
  store_.Damage(key);
  ++tally_.damaged;
}

void EngineSimulation::CheckFailures(SessionId session, const std::vector<SettleFailure>& failures) const {
  for (const SettleFailure& failure : failures) {
    if (failure.status.code() != absl::StatusCode::kDataLoss) continue;
    const auto held = std::find_if(held_.begin(), held_.end(), [&](const Held& other) {
      return other.session == session && other.tag == failure.tag;
    });
    BATON_CHECK(held != held_.end() && IsDamaged(held->token.id));
  }
}

}  // namespace baton

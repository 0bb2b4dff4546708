// What a settlement does to a message, decided without doing it. Whoever has a plan applies it (Settler)
// before anything else happens to the message, or makes another one.
#pragma once

#include "absl/status/status.h"
#include "server/engine/commands.h"
#include "server/engine/deferred_work.h"
#include "server/engine/locator.h"
#include "server/engine/standing.h"

namespace baton {

enum class SettleArrow : uint8_t {
  kNone,    // nothing: refused, or it makes no difference
  kExpire,  // refused: its time is over, and it may go when there is room for that
  kAck,
  kReturn,      // its lease ends as a failed attempt
  kReturnLate,  // likewise, but the attempt was counted when the lease ended
  kRelease,
  kExtend,
  kReject,      // to the dead letters, as a failed attempt
  kRejectLate,  // likewise, but the attempt was counted when the lease ended
};

struct SettlePlan {
  SettleArrow arrow = SettleArrow::kNone;
  const absl::Status* refusal = nullptr;  // null: it is settled as was wished. Lives for ever
  Cost cost = Cost::kNothing;             // of the arrow, to the turn's commit
  bool writes = false;                    // the answer waits for the commit
};

// `message`: null when there is none. `epoch`: of this life. Pure.
SettlePlan PlanSettlement(const Message* message, const LeaseToken& token, SettleKind kind, Epoch epoch,
                          Instant now);

// What has to be known of the message for that.
Locator::Need NeedOf(SettleKind kind);

}  // namespace baton

#include "server/engine/settle_plan.h"

#include "base/error.h"
#include "server/engine/arrow_cost.h"

namespace baton {
namespace {

// Made once and shared: a client may ask for many with a few bytes. Whoever asked knows what he named.

const absl::Status* LeaseLost() {
  static const absl::Status status =
      MakeError(absl::StatusCode::kFailedPrecondition, reason::kLeaseLost,
                "the lease is lost: the message was delivered again, moved or expired; nothing was changed. "
                "Its new delivery, which after a lost connection may be one's own, is to be settled");
  return &status;
}

const absl::Status* MessageGone() {
  static const absl::Status status =
      MakeError(absl::StatusCode::kNotFound, reason::kMessageNotFound,
                "the message is gone: it was settled before, expired, purged or deleted");
  return &status;
}

SettlePlan Refused(const absl::Status* why, SettleArrow arrow = SettleArrow::kNone) {
  return {.arrow = arrow, .refusal = why};
}

}  // namespace

SettlePlan PlanSettlement(const Message* message, const LeaseToken& token, SettleKind kind, Epoch epoch,
                          Instant now) {
  if (message == nullptr) return Refused(MessageGone());
  const Standing standing = Judge(*message, token, epoch);
  const bool holds = standing == Standing::kHolding;
  if (standing == Standing::kLost) return Refused(LeaseLost());
  // An ack may come when there is room only to remove; expired, the message may be moved. It expires without
  // this too.
  if (!holds && message->deadline() <= now) return Refused(LeaseLost(), SettleArrow::kExpire);
  const bool counted = standing == Standing::kLapsed;  // the attempt, when the lease ended
  const auto does = [kind](SettleArrow arrow, bool writes) {
    return SettlePlan{.arrow = arrow, .cost = CostOfSettlement(kind), .writes = writes};
  };
  switch (kind) {
    case SettleKind::kAck:
      return does(SettleArrow::kAck, true);
    case SettleKind::kNack:
      return does(counted ? SettleArrow::kReturnLate : SettleArrow::kReturn, true);
    case SettleKind::kRelease:  // given back already, it is what was wished
      return holds ? does(SettleArrow::kRelease, false) : SettlePlan();
    case SettleKind::kExtend:
      return holds ? does(SettleArrow::kExtend, false) : Refused(LeaseLost());
    case SettleKind::kDeadLetter:
      break;
  }
  return does(counted ? SettleArrow::kRejectLate : SettleArrow::kReject, true);
}

// Given back, it may be written to another place.
Locator::Need NeedOf(SettleKind kind) {
  return CostOfSettlement(kind) == Cost::kRewrite ? Locator::Need::kContent : Locator::Need::kState;
}

}  // namespace baton

#include "client/session/settlements.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/limits.h"
#include "client/session/convert.h"
#include "client/session/tag_ranges.h"

namespace baton::client {
namespace {

// How far back to look for a group with the same decision.
constexpr size_t kLookBack = 8;

void AddTo(std::vector<SettleGroup>& groups, const Settlement& how, SettleEntry entry) {
  const size_t looked_at = std::min(groups.size(), kLookBack);
  for (size_t i = 0; i < looked_at; ++i) {
    SettleGroup& group = groups[groups.size() - 1 - i];
    if (group.how != how) continue;
    group.entries.push_back(std::move(entry));
    return;
  }
  groups.push_back(SettleGroup{.how = how, .entries = {}, .number = 0});
  groups.back().entries.push_back(std::move(entry));
}

// Moves whole groups, and at the end a part of one, from `from` to `to`: at most `room` entries.
void TakeGroups(std::vector<SettleGroup>& from, size_t& room, std::vector<SettleGroup>& to) {
  size_t taken = 0;
  while (taken < from.size() && room > 0) {
    SettleGroup& group = from[taken];
    if (group.entries.size() <= room) {
      room -= group.entries.size();
      to.push_back(std::move(group));
      ++taken;
      continue;
    }
    const auto cut = group.entries.begin() + static_cast<std::ptrdiff_t>(room);
    to.push_back(
        SettleGroup{.how = group.how,
                    .entries = {std::make_move_iterator(group.entries.begin()), std::make_move_iterator(cut)},
                    .number = 0});
    group.entries.erase(group.entries.begin(), cut);
    room = 0;
  }
  from.erase(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(taken));
}

void FillSettle(const Settlement& how, v1::Settle& out) {
  out.set_kind(how.kind);
  if (how.delay_set) {
    out.set_delay_set(true);
    out.set_delay_ms(static_cast<uint64_t>(how.delay.count()));
  }
  if (!how.reason.empty()) out.set_reason(how.reason);
  if (how.lease.count() > 0) out.set_lease_ms(static_cast<uint64_t>(how.lease.count()));
}

}  // namespace

std::optional<SettleEntry> Settlements::Add(const Settlement& how, SettleEntry entry) {
  MutexLock lock(mutex_);
  if (entry.chunk->source().session != session_) return entry;
  AddTo(how.kind == v1::Settle::EXTEND ? waiting_extends_ : waiting_, how, std::move(entry));
  return std::nullopt;
}

void Settlements::OnConnected(uint64_t session) {
  {
    MutexLock lock(sent_mutex_);
    last_number_ = 0;
    refused_.clear();
  }
  MutexLock lock(mutex_);
  session_ = session;
}

std::vector<SettleGroup> Settlements::OnDisconnected() {
  std::vector<SettleGroup> unanswered;
  {
    MutexLock lock(sent_mutex_);
    unanswered.assign(std::make_move_iterator(sent_.begin()), std::make_move_iterator(sent_.end()));
    sent_.clear();
  }
  MutexLock lock(mutex_);
  session_ = 0;
  for (auto* waiting : {&waiting_extends_, &waiting_}) {
    for (SettleGroup& group : *waiting) unanswered.push_back(std::move(group));
    waiting->clear();
  }
  return unanswered;
}

void Settlements::Fill(v1::ClientFrame& frame) {
  std::vector<SettleGroup> groups;
  {
    MutexLock lock(mutex_);
    if (waiting_extends_.empty() && waiting_.empty()) return;
    size_t room = kSettleTagsMax;
    TakeGroups(waiting_extends_, room, groups);
    TakeGroups(waiting_, room, groups);
  }
  MutexLock lock(sent_mutex_);
  for (SettleGroup& group : groups) {
    v1::Settle& settle = *frame.add_settle();
    FillSettle(group.how, settle);
    tags_.clear();
    for (const SettleEntry& entry : group.entries) tags_.push_back(entry.tag());
    std::sort(tags_.begin(), tags_.end());
    tags_.erase(std::unique(tags_.begin(), tags_.end()), tags_.end());
    AppendTagRanges(tags_, *settle.mutable_tags());
    group.number = ++last_number_;
    sent_.push_back(std::move(group));
  }
}

absl::Status Settlements::OnReply(const v1::SettleReply& reply, std::vector<Answer>& answers) {
  MutexLock lock(sent_mutex_);
  if (reply.through() > last_number_) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, reason::kProtocolViolation,
        fmt::format("the broker answered the settlement {}; {} were sent", reply.through(), last_number_));
  }
  for (const v1::SettleError& error : reply.errors()) {
    if (error.settlement() > last_number_) {
      return MakeError(absl::StatusCode::kInvalidArgument, reason::kProtocolViolation,
                       fmt::format("the broker refused a tag of settlement {}; {} were sent",
                                   error.settlement(), last_number_));
    }
    refused_[{error.settlement(), error.tag()}] = {.further = error.further(),
                                                   .why = FromProto(error.error())};
  }
  while (!sent_.empty() && sent_.front().number <= reply.through()) {
    SettleGroup group = std::move(sent_.front());
    sent_.pop_front();
    for (SettleEntry& entry : group.entries) {
      absl::Status status = RefusalOf(group.number, entry.tag());
      answers.push_back(
          Answer{.kind = group.how.kind, .entry = std::move(entry), .status = std::move(status)});
    }
  }
  refused_.erase(refused_.begin(), refused_.upper_bound({reply.through(), UINT64_MAX}));
  return absl::OkStatus();
}

absl::Status Settlements::RefusalOf(uint64_t settlement, uint64_t tag) const {
  auto after = refused_.upper_bound({settlement, tag});
  if (after == refused_.begin()) return absl::OkStatus();
  const auto& [first, refused] = *--after;
  const bool is_of_it = first.first == settlement && tag - first.second <= refused.further;
  return is_of_it ? refused.why : absl::OkStatus();
}

std::string Settlements::Describe() {
  size_t waiting = 0;
  uint64_t session = 0;
  {
    MutexLock lock(mutex_);
    session = session_;
    for (const auto* groups : {&waiting_extends_, &waiting_}) {
      for (const SettleGroup& group : *groups) waiting += group.entries.size();
    }
  }
  MutexLock lock(sent_mutex_);
  return fmt::format(
      "settlements: of connection {}; {} tags wait to be sent; {} of {} settlements sent are unanswered",
      session, waiting, sent_.size(), last_number_);
}

}  // namespace baton::client

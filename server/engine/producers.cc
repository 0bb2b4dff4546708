#include "server/engine/producers.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/coding.h"
#include "storage/format/keys.h"

namespace baton {
namespace {

constexpr size_t kForgottenAtOnce = kProducersMax / 100;

}  // namespace

// Each store may have a row of the producer, of what it knew: accepted is what either says.
void Producers::Merge(ProducerRecord from, ProducerRecord& into) {
  if (from.highest > into.highest) std::swap(from, into);
  const uint64_t behind = into.highest - from.highest;
  if (behind < kProducerWindow) into.accepted |= from.accepted << behind;
  into.last_use = std::max(into.last_use, from.last_use);
}

absl::Status Producers::Load(std::string_view key, std::string_view value) {
  ByteReader reader(key);
  reader.Byte();
  const ProducerId producer(reader.Fixed64());
  const auto record = DecodeProducer(value);
  if (!reader.AtEnd() || !record.has_value()) {
    return absl::DataLossError("a producer row cannot be read: the store is damaged or of a newer version");
  }
  Merge(*record, producers_[producer].record);
  return absl::OkStatus();
}

Producers::Verdict Producers::Check(ProducerId producer, uint64_t sequence) const {
  const auto found = producers_.find(producer);
  if (found == producers_.end()) return producers_.size() < kProducersMax ? Verdict::kNew : Verdict::kTooMany;
  const ProducerRecord& record = found->second.record;
  if (sequence > record.highest) return Verdict::kNew;
  const uint64_t behind = record.highest - sequence;
  if (behind >= kProducerWindow) return Verdict::kTooOld;
  return record.accepted[behind] ? Verdict::kDuplicate : Verdict::kNew;
}

void Producers::Accept(ProducerId producer, uint64_t sequence, Instant now) {
  Producer& entry = producers_[producer];
  ProducerRecord& record = entry.record;
  if (sequence > record.highest) {
    const uint64_t shift = sequence - record.highest;
    record.accepted = shift >= kProducerWindow ? std::bitset<kProducerWindow>() : record.accepted << shift;
    record.highest = sequence;
  }
  const uint64_t behind = record.highest - sequence;
  BATON_CHECK(behind < kProducerWindow && !record.accepted[behind]) << sequence;
  record.accepted[behind] = true;
  record.last_use = now;
  if (!entry.dirty) {
    entry.dirty = true;
    dirty_.push_back(producer);
  }
}

uint64_t Producers::Highest(ProducerId producer) const {
  const auto found = producers_.find(producer);
  return found == producers_.end() ? 0 : found->second.record.highest;
}

void Producers::AppendTo(Commit& commit) {
  for (const ProducerId producer : dirty_) {
    Producer& entry = producers_.at(producer);
    commit.Put(ProducerKey(producer), EncodeProducer(entry.record));
    entry.dirty = false;
  }
  dirty_.clear();
}

bool Producers::ForgetIdle(Instant now, Commit& commit) {
  bool any = false;
  for (auto at = producers_.begin(); at != producers_.end();) {
    const auto current = at++;
    if (current->second.dirty || now - current->second.record.last_use < kProducerIdle) continue;
    commit.Delete(ProducerKey(current->first));
    producers_.erase(current);
    any = true;
  }
  return any;
}

bool Producers::MakeRoom(Instant now, const InUse& in_use, Commit& commit) {
  if (now < next_look_) return false;
  std::vector<std::pair<Instant, ProducerId>> idle;
  for (const auto& [producer, entry] : producers_) {
    const Instant last_use = entry.record.last_use;
    if (entry.dirty || now - last_use < kProducerIdleMin || in_use(producer)) continue;
    idle.emplace_back(last_use, producer);
  }
  if (idle.empty()) {
    next_look_ = now + std::chrono::seconds(1);
    return false;
  }
  // Some at once, so that the next ones find room without a look at all of them.
  const auto end = idle.begin() + static_cast<std::ptrdiff_t>(std::min(idle.size(), kForgottenAtOnce));
  std::partial_sort(idle.begin(), end, idle.end());
  for (auto at = idle.begin(); at != end; ++at) {
    commit.Delete(ProducerKey(at->second));
    producers_.erase(at->second);
  }
  return true;
}

}  // namespace baton

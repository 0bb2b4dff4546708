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

static_assert((kProducerWindow & (kProducerWindow - 1)) == 0, "BitOf goes on when sequences pass 2^64");
size_t BitOf(uint64_t sequence) { return (0 - sequence) % kProducerWindow; }

}  // namespace

absl::Status Producers::Load(std::string_view key, std::string_view value) {
  const bool in_memory = key.substr(0, 1) == MemoryProducerKey({}).substr(0, 1);
  ByteReader reader(key);
  reader.Byte();
  const ProducerId producer(reader.Fixed64());
  const auto record = DecodeProducer(value);
  if (!reader.AtEnd() || !record.has_value()) {
    return absl::DataLossError("a producer row cannot be read: the store is damaged or of a newer version");
  }
  producers_[producer].accepted[in_memory].Load(*record);
  return absl::OkStatus();
}

bool Producers::Accepted::Has(uint64_t sequence) const {
  return sequence <= highest && highest - sequence < kProducerWindow && window[BitOf(sequence)];
}

void Producers::Accepted::Add(uint64_t sequence) {
  if (sequence > highest) {
    if (sequence - highest >= kProducerWindow) window.reset();
    for (uint64_t s = highest + 1; s < sequence && s - highest < kProducerWindow; ++s) window.reset(BitOf(s));
    window.reset(BitOf(sequence));
    highest = sequence;
  }
  BATON_CHECK(highest - sequence < kProducerWindow && !window[BitOf(sequence)]) << sequence;
  window.set(BitOf(sequence));
}

void Producers::Accepted::Load(const ProducerRecord& record) {
  highest = record.highest;
  last_use = record.last_use;
  const size_t by = highest % kProducerWindow;
  window = record.accepted >> by | record.accepted << (kProducerWindow - by);
}

ProducerRecord Producers::Accepted::ToRecord() const {
  const size_t by = highest % kProducerWindow;
  return {
      .highest = highest, .last_use = last_use, .accepted = window << by | window >> (kProducerWindow - by)};
}

uint64_t Producers::Producer::highest() const { return std::max(accepted[0].highest, accepted[1].highest); }

Instant Producers::Producer::last_use() const { return std::max(accepted[0].last_use, accepted[1].last_use); }

Producers::Verdict Producers::Check(ProducerId producer, uint64_t sequence) const {
  const auto found = producers_.find(producer);
  if (found == producers_.end()) return producers_.size() < kProducersMax ? Verdict::kNew : Verdict::kTooMany;
  const uint64_t highest = found->second.highest();
  if (sequence > highest) return Verdict::kNew;
  if (highest - sequence >= kProducerWindow) return Verdict::kTooOld;
  for (const Accepted& accepted : found->second.accepted) {
    if (accepted.Has(sequence)) return Verdict::kDuplicate;
  }
  return Verdict::kNew;
}

void Producers::Accept(ProducerId producer, uint64_t sequence, bool in_memory, Instant now) {
  Accepted& entry = producers_[producer].accepted[in_memory];
  entry.Add(sequence);
  entry.last_use = now;
  if (!entry.dirty) {
    entry.dirty = true;
    dirty_.emplace_back(producer, in_memory);
    if (in_memory) ++dirty_in_memory_;
  }
}

uint64_t Producers::Highest(ProducerId producer) const {
  const auto found = producers_.find(producer);
  return found == producers_.end() ? 0 : found->second.highest();
}

void Producers::AppendTo(Commit& commit) {
  for (const auto& [producer, in_memory] : dirty_) {
    Accepted& entry = producers_.at(producer).accepted[in_memory];
    commit.Put(in_memory ? MemoryProducerKey(producer) : ProducerKey(producer),
               EncodeProducer(entry.ToRecord()));
    entry.dirty = false;
  }
  dirty_.clear();
  dirty_in_memory_ = 0;
}

void Producers::Forget(ProducerId producer, Commit& commit) {
  const auto found = producers_.find(producer);
  if (found->second.accepted[0].highest > 0) commit.Delete(ProducerKey(producer));
  if (found->second.accepted[1].highest > 0) commit.Delete(MemoryProducerKey(producer));
  producers_.erase(found);
}

bool Producers::ForgetIdle(Instant now, Commit& commit) {
  bool any = false;
  for (auto at = producers_.begin(); at != producers_.end();) {
    const auto current = at++;
    if (current->second.dirty() || now - current->second.last_use() < kProducerIdle) continue;
    Forget(ProducerId(current->first), commit);
    any = true;
  }
  return any;
}

bool Producers::MakeRoom(Instant now, const InUse& in_use, Commit& commit) {
  if (now < next_look_) return false;
  std::vector<std::pair<Instant, ProducerId>> idle;
  for (const auto& [producer, entry] : producers_) {
    const Instant last_use = entry.last_use();
    if (entry.dirty() || now - last_use < kProducerIdleMin || in_use(producer)) continue;
    idle.emplace_back(last_use, producer);
  }
  if (idle.empty()) {
    next_look_ = now + std::chrono::seconds(1);
    return false;
  }
  // Some at once, so that the next ones find room without a look at all of them.
  const auto end = idle.begin() + static_cast<std::ptrdiff_t>(std::min(idle.size(), kForgottenAtOnce));
  std::partial_sort(idle.begin(), end, idle.end());
  for (auto at = idle.begin(); at != end; ++at) Forget(at->second, commit);
  return true;
}

}  // namespace baton

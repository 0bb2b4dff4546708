#include "server/engine/producers.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/coding.h"
#include "storage/format/keys.h"

namespace baton {
namespace {

static_assert((kProducerWindow & (kProducerWindow - 1)) == 0, "BitOf goes on when sequences pass 2^64");
size_t BitOf(uint64_t sequence) { return (0 - sequence) % kProducerWindow; }

// What stays the same when the peer comes again: its address without the port, its user without the process.
std::string_view Lasting(std::string_view peer) {
  if (peer.substr(0, 5) == "unix:") return peer.substr(std::min(peer.find(",uid="), peer.size()));
  return peer.substr(0, peer.rfind(':'));
}

}  // namespace

// FNV-1a: the same in each life, and in a history that is played again.
OwnerId OwnerOf(std::string_view peer) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : Lasting(peer)) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return OwnerId(hash);
}

absl::Status Producers::Load(std::string_view key, std::string_view value) {
  const bool in_memory = key.substr(0, 1) == MemoryProducerKey({}).substr(0, 1);
  ByteReader reader(key);
  reader.Byte();
  const ProducerId producer(reader.Fixed64());
  const auto record = DecodeProducer(value);
  if (!reader.AtEnd() || !record.has_value()) {
    return absl::DataLossError("a producer row cannot be read: the store is damaged or of a newer version");
  }
  Entry(producers_[producer], in_memory).Load(*record);
  return absl::OkStatus();
}

// What an earlier life knew belongs to nobody until it is used.
void Producers::Start() {
  std::vector<std::pair<Instant, ProducerId>> loaded;
  for (const auto& [id, producer] : producers_) loaded.emplace_back(producer.last_use(), id);
  std::sort(loaded.begin(), loaded.end());
  for (const auto& [last_use, id] : loaded) {
    Producer& producer = producers_.at(id);
    producer.is_known = true;
    producer.first_use = last_use;
    bytes_ += kBytesEach;
    NoteUse(id, producer, OwnerId(), last_use);
  }
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

uint64_t Producers::Producer::highest() const {
  uint64_t highest = 0;
  for (const auto& entry : accepted)
    if (entry != nullptr) highest = std::max(highest, entry->highest);
  return highest;
}

Instant Producers::Producer::last_use() const {
  Instant last_use;
  for (const auto& entry : accepted)
    if (entry != nullptr) last_use = std::max(last_use, entry->last_use);
  return last_use;
}

bool Producers::Producer::dirty() const {
  return std::any_of(std::begin(accepted), std::end(accepted),
                     [](const auto& entry) { return entry != nullptr && entry->dirty; });
}

Producers::Verdict Producers::Check(ProducerId producer, uint64_t sequence) const {
  const auto found = producers_.find(producer);
  if (found == producers_.end()) {
    const bool has_room =
        producers_.size() < kProducersMax && bytes_ + kBytesEach + sizeof(Accepted) <= bytes_max_;
    return has_room ? Verdict::kNew : Verdict::kTooMany;
  }
  const uint64_t highest = found->second.highest();
  if (sequence > highest) return Verdict::kNew;
  if (highest - sequence >= kProducerWindow) return Verdict::kTooOld;
  for (const auto& accepted : found->second.accepted) {
    if (accepted != nullptr && accepted->Has(sequence)) return Verdict::kDuplicate;
  }
  return Verdict::kNew;
}

void Producers::Accept(ProducerId id, uint64_t sequence, bool in_memory, OwnerId owner, Instant now) {
  const auto [found, is_new] = producers_.try_emplace(id);
  Producer& producer = found->second;
  if (is_new) {
    producer.first_use = now;
    bytes_ += kBytesEach;
  }
  Accepted& entry = Entry(producer, in_memory);
  entry.Add(sequence);
  const bool is_used_again = is_new || !entry.dirty || producer.owner->id != owner;
  entry.last_use = now;
  if (is_used_again) NoteUse(id, producer, owner, now);  // once a turn is enough
  if (!entry.dirty) {
    entry.dirty = true;
    dirty_.emplace_back(id, in_memory);
    if (in_memory) ++dirty_in_memory_;
  }
}

Producers::Accepted& Producers::Entry(Producer& producer, bool in_memory) {
  auto& entry = producer.accepted[in_memory];
  if (entry == nullptr) {
    entry = std::make_unique<Accepted>();
    bytes_ += sizeof(Accepted);
  }
  return *entry;
}

Producers::Owner& Producers::FindOwner(OwnerId id) {
  auto& owner = owners_[id];
  if (owner == nullptr) {
    owner = std::make_unique<Owner>();
    owner->id = id;
    by_size_.insert({0, id});
  }
  return *owner;
}

void Producers::Resize(Owner& owner, const std::function<void()>& change) {
  by_size_.erase({owner.size(), owner.id});
  change();
  by_size_.insert({owner.size(), owner.id});
}

void Producers::NoteUse(ProducerId id, Producer& producer, OwnerId owner, Instant now) {
  if (producer.owner != nullptr && producer.owner->id != owner) Leave(producer);
  const bool was_known = producer.is_known;
  producer.is_known = was_known || now - producer.first_use >= kProducerKnownAfter;
  if (producer.owner != nullptr) {
    auto& from = was_known ? producer.owner->known : producer.owner->fresh;
    auto& to = producer.is_known ? producer.owner->known : producer.owner->fresh;
    to.splice(to.end(), from, producer.place);
    return;
  }
  Owner& home = FindOwner(owner);
  producer.owner = &home;
  Resize(home, [&] {
    auto& list = producer.is_known ? home.known : home.fresh;
    producer.place = list.insert(list.end(), id);
  });
}

void Producers::Leave(Producer& producer) {
  Owner& owner = *std::exchange(producer.owner, nullptr);
  Resize(owner, [&] { (producer.is_known ? owner.known : owner.fresh).erase(producer.place); });
  if (owner.size() > 0) return;
  by_size_.erase({0, owner.id});
  owners_.erase(OwnerId(owner.id));
}

uint64_t Producers::Highest(ProducerId producer) const {
  const auto found = producers_.find(producer);
  return found == producers_.end() ? 0 : found->second.highest();
}

void Producers::AppendTo(Commit& commit) {
  for (const auto& [producer, in_memory] : dirty_) {
    Accepted& entry = *producers_.at(producer).accepted[in_memory];
    commit.Put(in_memory ? MemoryProducerKey(producer) : ProducerKey(producer),
               EncodeProducer(entry.ToRecord()));
    entry.dirty = false;
  }
  dirty_.clear();
  dirty_in_memory_ = 0;
}

void Producers::Forget(ProducerId id, Commit& commit) {
  const auto found = producers_.find(id);
  Producer& producer = found->second;
  if (producer.accepted[0] != nullptr) commit.Delete(ProducerKey(id));
  if (producer.accepted[1] != nullptr) commit.Delete(MemoryProducerKey(id));
  for (const auto& entry : producer.accepted)
    if (entry != nullptr) bytes_ -= sizeof(Accepted);
  bytes_ -= kBytesEach;
  Leave(producer);
  producers_.erase(found);
}

void Producers::OnClockMoved(Duration by) {
  for (auto& [id, producer] : producers_) {
    producer.first_use += by;
    for (const auto& accepted : producer.accepted) {
      if (accepted != nullptr) accepted->last_use += by;
    }
  }
  next_look_ += by;
}

bool Producers::ForgetIdle(Instant now, Commit& commit) {
  std::vector<ProducerId> idle;
  for (const auto& [id, owner] : owners_) {
    for (const auto* list : {&owner->fresh, &owner->known}) {
      for (const ProducerId producer : *list) {
        const Producer& entry = producers_.at(producer);
        if (entry.dirty() || now - entry.last_use() < kProducerIdle) break;
        idle.push_back(producer);
      }
    }
  }
  std::sort(idle.begin(), idle.end());
  for (const ProducerId producer : idle) Forget(producer, commit);
  return !idle.empty();
}

bool Producers::MakeRoom(Instant now, const InUse& in_use, Commit& commit) {
  if (now < next_look_) return false;
  for (auto at = by_size_.rbegin(); at != by_size_.rend(); ++at) {
    Owner& owner = *owners_.at(at->second);
    if (GiveUpOne(owner.fresh, in_use, commit) || GiveUpOne(owner.known, in_use, commit)) return true;
  }
  next_look_ = now + std::chrono::seconds(1);
  return false;
}

// Those that a session uses are put where those stand that were used just now, so that nobody looks at them
// again soon.
bool Producers::GiveUpOne(std::list<ProducerId>& from, const InUse& in_use, Commit& commit) {
  for (size_t left = from.size(); left > 0; --left) {
    const ProducerId id = from.front();
    if (!producers_.at(id).dirty() && !in_use(id)) {
      Forget(id, commit);
      ++pushed_out_;
      return true;
    }
    from.splice(from.end(), from, from.begin());
  }
  return false;
}

}  // namespace baton

#include "server/engine/locator.h"

#include <fmt/format.h>

#include "base/check.h"
#include "server/engine/window_reader.h"

namespace baton {
namespace {

// Messages of one read, and such reads on their way: a turn that decides on them is short all the same.
constexpr size_t kSearchesPerRead = 512;
constexpr size_t kReadsAtOnce = 2;

}  // namespace

void Locator::Find(const MessageId& id, Instant now, Decide decide, Fail fail, Need need) {
  if (Message* resident = state_.FindResident(id.seq)) {
    Message* message = resident->id == id ? resident : nullptr;
    if (message == nullptr || Has(*message, need)) return decide(message, now);
  }
  const auto [found, fresh] = pending_.try_emplace(id);
  found->second.waiting.push_back({.decide = std::move(decide), .fail = std::move(fail), .need = need});
  if (fresh) to_start_.push_back(id);
}

bool Locator::MayFind(const MessageId& id, Need need) const {
  const Message* resident = state_.FindResident(id.seq);
  return (resident != nullptr && Has(*resident, need)) || HasRoom();
}

bool Locator::IsResident(const MessageId& id) const {
  const Message* resident = state_.FindResident(id.seq);
  return resident != nullptr && (resident->id != id || resident->has_content());
}

void Locator::Touch(Seq birth) {
  if (pending_.empty()) return;
  MessageId first;
  first.birth = {};
  first.seq = birth;
  for (auto at = pending_.lower_bound(first); at != pending_.end() && at->first.seq == birth; ++at)
    at->second.touched = true;
}

void Locator::StartReads() {
  while (!to_locate_.empty() && reads_of_many_ < kReadsAtOnce) {
    ReadMany(
        to_locate_, [](const MessageId& id) { return LocatorKey(id.seq); }, nullptr,
        [this](const MessageId& id, const Row& row, Instant now) { OnLocator(id, row, now); });
  }
  while (!to_start_.empty() && reads_of_many_ < kReadsAtOnce) {
    const auto key_of = [this](const MessageId& id) {
      pending_.at(id).touched = false;
      return BirthKeyOf(id);
    };
    ReadMany(to_start_, key_of, &AttemptsKeyOfRow,
             [this](const MessageId& id, const Row& row, Instant now) { OnBirthPlace(id, row, now); });
  }
}

// One row of each of those that wait longest, as far as they are in one store.
void Locator::ReadMany(std::deque<MessageId>& waiting,
                       absl::FunctionRef<std::string(const MessageId&)> key_of,
                       std::string (*companion)(std::string_view row_key), OnOne on_one) {
  ReadRequest request;
  request.bytes_max = ChunkOf(state_).bytes;
  request.companion = companion;
  std::vector<MessageId> ids;
  while (!waiting.empty() && ids.size() < kSearchesPerRead) {
    const MessageId id = waiting.front();
    if (!ids.empty() && IsMemoryQueue(id.queue) != IsMemoryQueue(ids.front().queue)) break;
    waiting.pop_front();
    request.keys.push_back(key_of(id));
    ids.push_back(id);
  }
  request.born_in_memory = IsMemoryQueue(ids.front().queue);
  ++reads_of_many_;
  reads_.Start(std::move(request), [this, &waiting, ids = std::move(ids), on_one = std::move(on_one)](
                                       const ReadResult& result, Instant now) mutable {
    --reads_of_many_;
    if (!result.status.ok()) {
      for (const MessageId& id : ids) Give(id, result.status, now);
      return;
    }
    // Those that had no room in the answer are next.
    const size_t answered = result.rows.size();
    waiting.insert(waiting.begin(), ids.begin() + static_cast<ptrdiff_t>(answered), ids.end());
    for (size_t i = 0; i < answered; ++i) on_one(ids[i], result.rows[i], now);
  });
}

void Locator::ReadRow(const MessageId& id, std::string row_key) {
  ReadRequest request;
  request.keys = {std::move(row_key)};
  request.companion = &AttemptsKeyOfRow;
  reads_.Start(std::move(request), [this, id](const ReadResult& result, Instant now) {
    result.status.ok() ? OnRow(id, result.rows.at(0), now) : Give(id, result.status, now);
  });
}

bool Locator::StillTrue(const MessageId& id) {
  if (!pending_.at(id).touched || IsResident(id)) return true;
  to_start_.push_back(id);
  return false;
}

void Locator::OnBirthPlace(const MessageId& id, const Row& row, Instant now) {
  if (row.value.has_value() || !row.status.ok()) return OnRow(id, row, now);
  if (StillTrue(id)) to_locate_.push_back(id);
}

void Locator::OnLocator(const MessageId& id, const Row& row, Instant now) {
  if (!StillTrue(id)) return;
  if (!row.status.ok()) return Give(id, row.status, now);
  if (!row.value.has_value()) return Conclude(id, nullptr, now);
  if (const auto row_key = DecodeLocator(*row.value)) return ReadRow(id, std::string(*row_key));
  Give(id, absl::DataLossError(fmt::format("the locator of message {} makes no sense", id.ToText())), now);
}

void Locator::OnRow(const MessageId& id, const Row& row, Instant now) {
  if (!StillTrue(id)) return;
  if (!row.status.ok()) return Give(id, row.status, now);
  if (!row.value.has_value()) {  // untouched, yet not where its locator says: its queue was purged or deleted
    Conclude(id, nullptr, now);
    return;
  }
  QueueId number;
  if (const auto ready = ParseReadyKey(row.key)) number = ready->queue;
  if (const auto delayed = ParseDelayedKey(row.key)) number = delayed->queue;
  if (const auto parked = ParseParkedKey(row.key)) number = parked->queue;
  Queue* queue = state_.FindQueue(number);
  if (queue == nullptr) {  // deleted since
    Conclude(id, nullptr, now);
    return;
  }
  auto view = MessageFromRow(*queue, row.key, *row.value, row.companion);
  if (view == nullptr) {
    return Give(id, absl::DataLossError(fmt::format("the row of message {} makes no sense", id.ToText())),
                now);
  }
  if (view->seq < queue->ledger.floor_seq || view->id != id) view = nullptr;  // purged since; a made-up id
  Conclude(id, std::move(view), now);
}

// Whether there is such a message, or what is in it, cannot be known. One that has come into memory meanwhile
// is.
void Locator::Give(const MessageId& id, const absl::Status& why, Instant now) {
  if (IsResident(id)) return Conclude(id, nullptr, now);
  state_.ReportDamage(why);
  const auto found = pending_.find(id);
  auto waiting = std::move(found->second.waiting);
  pending_.erase(found);
  for (Asking& asking : waiting) {
    Message* message = state_.FindResident(id.seq);
    const bool suffices = message != nullptr && Has(*message, asking.need);
    suffices || !asking.fail ? asking.decide(suffices ? message : nullptr, now) : asking.fail(why);
  }
}

// What was read is the message, or has what the one in memory lacks.
void Locator::Fill(const MessageId& id, std::unique_ptr<Message> view) {
  Message* resident = state_.FindResident(id.seq);
  if (resident == nullptr) {
    view->commit = state_.turn.latest(view->queue->promise());
    life_cycle_.MakeResident(std::move(view));
  } else if (resident->id == id && !resident->has_content() && resident->bytes() == view->bytes()) {
    life_cycle_.TakeContent(*resident, *view);
  }
}

// Each command decides on what the one before left.
void Locator::Conclude(const MessageId& id, std::unique_ptr<Message> view, Instant now) {
  if (view != nullptr) Fill(id, std::move(view));
  if (state_.FindResident(id.seq) != nullptr && !IsResident(id)) {  // its row is not there, or another's
    return Give(id, absl::DataLossError(fmt::format("the row of message {} is missing", id.ToText())), now);
  }
  const auto found = pending_.find(id);
  auto waiting = std::move(found->second.waiting);
  pending_.erase(found);
  const bool exists = state_.FindResident(id.seq) != nullptr;
  for (Asking& asking : waiting) {
    Message* message = state_.FindResident(id.seq);
    if (message == nullptr && exists) {
      // The command before removed it or placed it on disk: whoever is left looks again.
      Find(id, now, std::move(asking.decide), std::move(asking.fail), asking.need);
      continue;
    }
    asking.decide(message != nullptr && message->id == id ? message : nullptr, now);
  }
  Message* message = state_.FindResident(id.seq);
  if (message == nullptr) return;
  if (message->state == Message::State::kSpilled) life_cycle_.EraseResident(*message);
  if (message->state == Message::State::kLeased) life_cycle_.LeaveContentIfScarce(*message);
}

}  // namespace baton

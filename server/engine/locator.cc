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
  while (!to_start_.empty() && reads_of_many_ < kReadsAtOnce) ReadBirthPlaces();
}

// Of those that wait longest, as far as they are in one store.
void Locator::ReadBirthPlaces() {
  ReadRequest request;
  request.bytes_max = ChunkOf(state_).bytes;
  request.companion = &AttemptsKeyOfRow;
  std::vector<MessageId> ids;
  while (!to_start_.empty() && ids.size() < kSearchesPerRead) {
    const MessageId id = to_start_.front();
    if (!ids.empty() && IsMemoryQueue(id.queue) != IsMemoryQueue(ids.front().queue)) break;
    to_start_.pop_front();
    pending_.at(id).touched = false;
    request.keys.push_back(BirthKeyOf(id));
    request.keys.push_back(LocatorKey(id.seq));
    ids.push_back(id);
  }
  ++reads_of_many_;
  reads_.Start(std::move(request), [this, ids = std::move(ids)](const ReadResult& result, Instant now) {
    --reads_of_many_;
    OnBirthPlaces(ids, result, now);
  });
}

void Locator::OnBirthPlaces(const std::vector<MessageId>& ids, const ReadResult& result, Instant now) {
  if (!result.status.ok()) {
    for (const MessageId& id : ids) Give(id, result.status, now);
    return;
  }
  const size_t answered = result.rows.size() / 2;
  // Those that had no room in the answer are next.
  to_start_.insert(to_start_.begin(), ids.begin() + static_cast<ptrdiff_t>(answered), ids.end());
  for (size_t i = 0; i < answered; ++i) OnBirthPlace(ids[i], result.rows[2 * i], result.rows[2 * i + 1], now);
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

void Locator::OnBirthPlace(const MessageId& id, const Row& at_birth, const Row& locator, Instant now) {
  if (!StillTrue(id)) return;
  if (at_birth.value.has_value()) {
    OnRow(id, at_birth, now);
  } else if (!at_birth.status.ok() || !locator.status.ok()) {
    Give(id, !at_birth.status.ok() ? at_birth.status : locator.status, now);
  } else if (locator.value.has_value()) {
    const auto row_key = DecodeLocator(*locator.value);
    if (row_key.has_value()) {
      ReadRow(id, std::string(*row_key));
    } else {
      Give(id, absl::DataLossError(fmt::format("the locator of message {} makes no sense", id.ToText())),
           now);
    }
  } else {
    Conclude(id, nullptr, now);
  }
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

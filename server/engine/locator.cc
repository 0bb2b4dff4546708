#include "server/engine/locator.h"

#include <fmt/format.h>

#include "base/check.h"

namespace baton {

void Locator::Find(const MessageId& id, Instant now, Decide decide) {
  if (Message* resident = state_.FindResident(id.seq)) {
    decide(resident->id == id ? resident : nullptr, now);
    return;
  }
  const auto [found, fresh] = pending_.try_emplace(id);
  found->second.waiting.push_back(std::move(decide));
  if (!fresh) return;
  if (to_start_.empty() && reads_.HasRoom()) {
    ReadBirthPlace(id);
  } else {
    to_start_.push_back(id);
  }
}

bool Locator::MayFind(const MessageId& id) const {
  return state_.residents.contains(id.seq) || (to_start_.empty() && reads_.HasRoom());
}

void Locator::Touch(Seq birth) {
  if (pending_.empty()) return;
  MessageId first;
  first.birth = {};
  first.seq = birth;
  for (auto at = pending_.lower_bound(first); at != pending_.end() && at->first.seq == birth; ++at)
    at->second.touched = true;
}

void Locator::RetryWaiting() {
  while (!to_start_.empty() && reads_.HasRoom()) {
    const MessageId id = to_start_.front();
    to_start_.pop_front();
    ReadBirthPlace(id);
  }
}

void Locator::ReadBirthPlace(const MessageId& id) {
  pending_.at(id).touched = false;
  ReadRequest request;
  request.keys = {BirthKeyOf(id), LocatorKey(id.seq)};
  request.companion = &AttemptsKeyOfRow;
  reads_.Start(std::move(request),
               [this, id](const ReadResult& result, Instant now) { OnBirthPlace(id, result, now); });
}

void Locator::ReadRow(const MessageId& id, std::string row_key) {
  ReadRequest request;
  request.keys = {std::move(row_key)};
  request.companion = &AttemptsKeyOfRow;
  reads_.Start(std::move(request),
               [this, id](const ReadResult& result, Instant now) { OnRow(id, result.rows.at(0), now); });
}

bool Locator::StillTrue(const MessageId& id) {
  if (!pending_.at(id).touched || state_.FindResident(id.seq) != nullptr) return true;
  ReadBirthPlace(id);
  return false;
}

void Locator::OnBirthPlace(const MessageId& id, const ReadResult& result, Instant now) {
  if (!StillTrue(id)) return;
  const Row& at_birth = result.rows.at(0);
  const Row& locator = result.rows.at(1);
  if (at_birth.value.has_value()) {
    OnRow(id, at_birth, now);
  } else if (locator.value.has_value()) {
    const auto row_key = DecodeLocator(*locator.value);
    if (row_key.has_value()) {
      ReadRow(id, std::string(*row_key));
    } else {
      state_.failure =
          absl::DataLossError(fmt::format("the locator of message {} cannot be read", id.ToText()));
    }
  } else {
    Conclude(id, nullptr, now);
  }
}

void Locator::OnRow(const MessageId& id, const Row& row, Instant now) {
  if (!StillTrue(id)) return;
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
    state_.failure = absl::DataLossError(fmt::format("the row of message {} cannot be read", id.ToText()));
    return;
  }
  if (view->seq < queue->ledger.floor_seq || view->id != id) view = nullptr;  // purged since; a made-up id
  Conclude(id, std::move(view), now);
}

// Each command decides on what the one before left.
void Locator::Conclude(const MessageId& id, std::unique_ptr<Message> view, Instant now) {
  const auto found = pending_.find(id);
  std::vector<Decide> waiting = std::move(found->second.waiting);
  pending_.erase(found);
  const bool resident = state_.FindResident(id.seq) != nullptr;
  const bool exists = resident || view != nullptr;
  if (view != nullptr && !resident) {
    view->commit = state_.turn.latest(view->queue->promise());
    life_cycle_.MakeResident(std::move(view));
  }
  for (Decide& decide : waiting) {
    Message* message = state_.FindResident(id.seq);
    if (message == nullptr && exists) {
      // The command before removed it or placed it on disk: whoever is left looks again.
      Find(id, now, std::move(decide));
      continue;
    }
    decide(message != nullptr && message->id == id ? message : nullptr, now);
  }
  Message* message = state_.FindResident(id.seq);
  if (message != nullptr && message->state == Message::State::kSpilled) life_cycle_.EraseResident(*message);
}

}  // namespace baton

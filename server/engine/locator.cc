#include "server/engine/locator.h"

#include <fmt/format.h>

#include "base/check.h"

namespace baton {

void Locator::Find(const MessageId& id, Instant now, Decide decide) {
  if (Message* resident = state_.FindResident(id.seq)) {
    decide(resident->id == id ? resident : nullptr, now);
    return;
  }
  const auto [found, fresh] = pending_.try_emplace(id.seq);
  if (!fresh && !(found->second.id == id)) {  // a made-up id with a true seq
    decide(nullptr, now);
    return;
  }
  found->second.id = id;
  found->second.waiting.push_back(std::move(decide));
  if (fresh) ReadBirthPlace(id.seq);
}

void Locator::Touch(Seq birth) {
  if (pending_.empty()) return;
  const auto found = pending_.find(birth);
  if (found != pending_.end()) found->second.touched = true;
}

void Locator::ReadBirthPlace(Seq birth) {
  Search& search = pending_.at(birth);
  search.touched = false;
  ReadRequest request;
  request.keys = {BirthKeyOf(search.id), LocatorKey(birth)};
  request.companion = &AttemptsKeyOfRow;
  reads_.Start(std::move(request),
               [this, birth](const ReadResult& result, Instant now) { OnBirthPlace(birth, result, now); });
}

void Locator::ReadRow(Seq birth, std::string row_key) {
  ReadRequest request;
  request.keys = {std::move(row_key)};
  request.companion = &AttemptsKeyOfRow;
  reads_.Start(std::move(request), [this, birth](const ReadResult& result, Instant now) {
    OnRow(birth, result.rows.at(0), now);
  });
}

bool Locator::StillTrue(Search& search) {
  if (!search.touched || state_.FindResident(search.id.seq) != nullptr) return true;
  ReadBirthPlace(search.id.seq);
  return false;
}

void Locator::OnBirthPlace(Seq birth, const ReadResult& result, Instant now) {
  Search& search = pending_.at(birth);
  if (!StillTrue(search)) return;
  const Row& at_birth = result.rows.at(0);
  const Row& locator = result.rows.at(1);
  if (at_birth.value.has_value()) {
    OnRow(birth, at_birth, now);
  } else if (locator.value.has_value()) {
    const auto row_key = DecodeLocator(*locator.value);
    if (row_key.has_value()) {
      ReadRow(birth, std::string(*row_key));
    } else {
      state_.failure =
          absl::DataLossError(fmt::format("the locator of message {} cannot be read", search.id.ToText()));
    }
  } else {
    Conclude(birth, nullptr, now);
  }
}

void Locator::OnRow(Seq birth, const Row& row, Instant now) {
  Search& search = pending_.at(birth);
  if (!StillTrue(search)) return;
  if (!row.value.has_value()) {  // untouched, yet not where its locator says: its queue was purged or deleted
    Conclude(birth, nullptr, now);
    return;
  }
  QueueId number;
  if (const auto ready = ParseReadyKey(row.key)) number = ready->queue;
  if (const auto delayed = ParseDelayedKey(row.key)) number = delayed->queue;
  if (const auto parked = ParseParkedKey(row.key)) number = parked->queue;
  Queue* queue = state_.FindQueue(number);
  if (queue == nullptr) {  // deleted since
    Conclude(birth, nullptr, now);
    return;
  }
  auto view = MessageFromRow(*queue, row.key, *row.value, row.companion);
  if (view == nullptr) {
    state_.failure =
        absl::DataLossError(fmt::format("the row of message {} cannot be read", search.id.ToText()));
    return;
  }
  if (view->seq < queue->ledger.floor_seq || !(view->id == search.id))
    view = nullptr;  // purged since; a made-up id
  Conclude(birth, std::move(view), now);
}

// Each command decides on what the one before left.
void Locator::Conclude(Seq birth, std::unique_ptr<Message> view, Instant now) {
  Search search = std::move(pending_.at(birth));
  pending_.erase(birth);
  const bool resident = state_.FindResident(birth) != nullptr;
  const bool exists = resident || view != nullptr;
  if (view != nullptr && !resident) {
    view->commit = state_.turn.latest(view->queue->promise());
    life_cycle_.MakeResident(std::move(view));
  }
  for (Decide& decide : search.waiting) {
    Message* message = state_.FindResident(birth);
    if (message == nullptr && exists) {
      // The command before removed it or placed it on disk: whoever is left looks again.
      Find(search.id, now, std::move(decide));
      continue;
    }
    decide(message != nullptr && message->id == search.id ? message : nullptr, now);
  }
  Message* message = state_.FindResident(birth);
  if (message != nullptr && message->state == Message::State::kSpilled) life_cycle_.EraseResident(*message);
}

}  // namespace baton

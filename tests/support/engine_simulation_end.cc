// How a simulated history ends, and what must be left then: nothing.
#include <algorithm>
#include <string>

#include "base/check.h"
#include "tests/support/engine_simulation.h"

namespace baton {

// ---- The end: everything is consumed, and nothing is left.

bool EngineSimulation::NothingMoves() {
  while (store_.unwritten() > 0) store_.WriteOne();
  store_.Sync();
  engine_->OnProgress(store_.written(), store_.synced(), now_);
  model_.Synced(store_.synced());
  bool moved = false;
  while (store_.LookOne()) moved = true;
  while (auto answer = store_.TakeAnswer()) {
    ++tally_.reads;
    moved = true;
    engine_->OnRead(*std::move(answer), now_);
  }
  Turn();
  return !moved && store_.unwritten() == 0 && !store_.HasReads();
}

// Nobody takes anything, time passes: what is overdue goes by itself, wherever it waits.
void EngineSimulation::LetExpire() {
  store_.FillMemory(false);
  engine_->OnMemoryRoom(store_.memory_room());
  // What could not be read is tried again after a while.
  const Instant end = now_ + std::chrono::seconds(has_damage_ ? 180 : 3);
  for (int round = 0;; ++round) {
    BATON_CHECK_LT(round, 3'000) << "the broker does not come to rest: " << Remains();
    if (!NothingMoves() || next_due_ <= now_) continue;
    if (now_ == end) break;
    now_ = std::min(next_due_, end);
  }
  for (const auto& [seq, entry] : model_.entries()) {
    BATON_CHECK(model_.DeadlineOf(entry) > now_ || entry.state == BrokerModel::State::kLeased)
        << "message " << seq << " of queue " << entry.queue << " is there after its deadline";
  }
  // What nobody could refuse has made room.
  for (const std::string& queue : queues_) {
    const QueueInfo info = Info(queue);
    BATON_CHECK(!info.is_over_limits || info.config.overflow == OverflowPolicy::kReject || info.ready == 0)
        << queue << " keeps more than its limits allow: " << info.ready << " ready";
  }
}

void EngineSimulation::EndEverything() {
  ending_ = true;
  store_.Heal();
  for (Client& client : clients_) Send(CloseSession{.session = client.session});
  LetExpire();
  for (const std::string& queue : queues_) {
    Send(UpdateQueue{.call = NextCall(),
                     .name = queue,
                     .config = {.attempts_max = 0, .in_flight_max = 0},
                     .paused = false});
  }
  Client& client = clients_[0];
  OpenClient(client);
  for (size_t i = 0; i < queues_.size(); ++i) {
    Send(Subscribe{.session = client.session,
                   .subscription = SubscriptionOf(i),
                   .queue = queues_[i],
                   .credit_messages = 5});
  }
  for (int round = 0;; ++round) {
    BATON_CHECK_LT(round, 3'000) << "the broker does not come to rest: " << model_.entries().size()
                                 << " messages are left: " << Remains();
    const bool still = NothingMoves();
    for (const auto& [tag, index] : client.holds) {
      Send(SettleTags{.session = client.session, .settlement = {}, .tags = {{tag, tag}}});
    }
    const bool acked = !client.holds.empty();
    client.holds.clear();
    if (!still || acked) continue;
    for (const auto& [seq, entry] : model_.entries()) {
      if (entry.state == BrokerModel::State::kParked) Send(DeleteMessage{.call = NextCall(), .id = entry.id});
    }
    if (model_.entries().empty() && next_due_ > now_ + std::chrono::minutes(10)) break;
    // The broker itself says when it has something to do next.
    if (next_due_ != kNever) now_ = std::max(now_, next_due_);
  }
  CheckRows();
}

std::string EngineSimulation::Remains() {
  std::string text;
  for (const std::string& queue : queues_) {
    const QueueInfo info = Info(queue);
    text += queue + ": ready " + std::to_string(info.ready) + ", delayed " + std::to_string(info.delayed) +
            ", leased " + std::to_string(info.leased) + ", resident " + std::to_string(info.resident) + "; ";
  }
  const MemoryRoom room = store_.memory_room();
  text += "memory room: rewrite " + std::to_string(room.rewrite) + ", remove " + std::to_string(room.remove) +
          "; ";
  return text + "next due in " + std::to_string((next_due_ - now_).count()) + " us";
}

void EngineSimulation::CheckRows() {
  for (const RowKind kind : {RowKind::kReady, RowKind::kDelayed, RowKind::kParked, RowKind::kAttempts,
                             RowKind::kExpiry, RowKind::kLocator, RowKind::kBirths}) {
    BATON_CHECK_EQ(store_.CountOf(kind), 0u) << "rows of kind " << static_cast<char>(kind) << " are left";
  }
  for (const std::string& queue : queues_) {
    const QueueInfo info = Info(queue);
    BATON_CHECK_EQ(info.ready + info.leased + info.delayed + info.parked + info.bytes + info.resident, 0u)
        << queue;
  }
}

}  // namespace baton

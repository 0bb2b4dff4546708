#include "server/engine/session_table.h"

#include "base/check.h"
#include "base/error.h"

namespace baton {
namespace {

constexpr size_t kSessionsListedMax = 1'000;

}  // namespace

void SessionTable::Handle(const OpenSession& command, Instant now) {
  auto session = std::make_unique<Session>();
  session->id = command.session;
  session->client_name = command.client_name;
  session->peer = command.peer;
  session->producer = command.producer;
  session->owner = OwnerOf(command.peer);
  session->opened = now;
  uint64_t accepted = 0;
  if (command.producer) {
    accepted = state_.producers.Highest(command.producer);
    // The newer one wins: the older one is most likely a connection that died unnoticed.
    const auto [holder, fresh] = state_.producer_sessions.try_emplace(command.producer, command.session);
    if (!fresh) {
      state_.outputs->EndSession(holder->second,
                                 MakeError(absl::StatusCode::kAborted, reason::kProtocolViolation,
                                           "the producer id is in use by a newer session"));
      holder->second = command.session;
    }
  }
  const bool inserted = state_.sessions.emplace(command.session, std::move(session)).second;
  BATON_CHECK(inserted) << command.session;
  state_.outputs->SessionOpened(command.session, accepted);
}

void SessionTable::Handle(const CloseSession& command, Instant now) {
  const auto found = state_.sessions.find(command.session);
  if (found == state_.sessions.end()) return;
  Session& session = *found->second;
  for (const auto& [id, subscription] : session.subscriptions) {
    dispatcher_.Detach(*subscription);
    state_.WantDispatch(*subscription->queue);
  }
  returner_.ReturnAll(session, now);
  state_.passed_over.erase(session.id);
  const auto producer = state_.producer_sessions.find(session.producer);
  if (producer != state_.producer_sessions.end() && producer->second == session.id)
    state_.producer_sessions.erase(producer);
  state_.budget.Forget(Asker::Of(command.session));
  state_.sessions.erase(found);
}

void SessionTable::Handle(const GetEngineStatus& command) {
  EngineStatus status;
  status.epoch = state_.options.epoch;
  status.queues = state_.queues.size();
  status.sessions = state_.sessions.size();
  for (const auto& [name, queue] : state_.queues) {
    status.messages += queue->stored_count() + queue->ledger.parked.rows;
    status.bytes += queue->stored_bytes() + queue->ledger.parked.bytes;
  }
  status.resident_bytes = state_.resident_bytes;
  status.leased_bytes = state_.leased_bytes;
  status.uncommitted_bytes = state_.budget.uncommitted_bytes();
  if (state_.options.memory_use) status.memory_queues = state_.options.memory_use();
  status.unsettled_bytes = state_.unsettled * kUnsettledBytes;
  status.producers = state_.producers.size();
  status.producer_bytes = state_.producers.bytes();
  status.producers_pushed_out = state_.producers.pushed_out();
  status.disk_low = state_.disk_low;
  status.publish_to_deliver = state_.publish_to_deliver;
  for (const auto& [id, session] : state_.sessions) {
    if (status.session_list.size() >= kSessionsListedMax) break;
    status.session_list.push_back({.session = id,
                                   .client_name = session->client_name,
                                   .peer = session->peer,
                                   .opened = session->opened,
                                   .subscriptions = session->subscriptions.size(),
                                   .unsettled = session->unsettled.size(),
                                   .unconfirmed = session->unconfirmed});
  }
  state_.outputs->Answer(command.call, Reply(std::move(status)));
}

}  // namespace baton

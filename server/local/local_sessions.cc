#include "server/local/local_sessions.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "base/error.h"
#include "local/handshake.h"

namespace baton {
namespace {

// A session's descriptors in Parking: its socket, and its client's process.
uint64_t SocketTag(SessionId id) { return id.value() * 2; }
uint64_t ProcessTag(SessionId id) { return id.value() * 2 + 1; }

// What all sessions may bring in one turn, as LocalSession counts it; the others come first in the next one.
constexpr size_t kTurnCostMax = 2u << 20;

}  // namespace

LocalSessions::LocalSessions(BrokerFacts* facts, Parking* parking, size_t large_frame_bytes)
    : facts_(facts),
      parking_(parking),
      large_frames_(large_frame_bytes, facts->frame_bytes_max()),
      shares_(facts->ring_sessions_max) {}

ConnectionShares::Excess LocalSessions::ExcessOf(const Peer& peer) const {
  const MutexLock lock(mutex_);
  return shares_.ExcessOf(peer);
}

void LocalSessions::Adopt(LocalClient client) {
  {
    const MutexLock lock(mutex_);
    shares_.Add(client.peer);
    new_.push_back(std::move(client));
  }
  parking_->Wake();
}

void LocalSessions::AdoptNew() {
  std::vector<LocalClient> clients;
  {
    const MutexLock lock(mutex_);
    clients.swap(new_);
  }
  for (LocalClient& client : clients) Add(std::move(client));
}

void LocalSessions::Add(LocalClient client) {
  const LocalSession::Context context{.facts = facts_,
                                      .large_frames = &large_frames_,
                                      .wake = [this](SessionId id) { spoken_.push_back(id); }};
  auto owned = std::make_unique<LocalSession>(context, std::move(client));
  LocalSession& session = *owned;
  const SessionId id = session.id();
  const size_t others = facts_->sessions.fetch_add(1, std::memory_order_relaxed);  // a count, orders nothing
  sessions_.emplace(id, std::move(owned));
  absl::Status status = parking_->Watch(session.socket(), SocketTag(id));
  if (session.process() >= 0) status.Update(parking_->Watch(session.process(), ProcessTag(id)));
  if (stopping_) {
    status.Update(MakeError(absl::StatusCode::kUnavailable, reason::kBrokerStopping,
                            "the broker is stopping; connect again later"));
  } else if (others >= facts_->sessions_max) {
    facts_->NoteIncident({.event = "there are as many sessions as there may be (option sessions_max)",
                          .peer = session.peer().text,
                          .done = "refused a session"});
    status.Update(MakeError(absl::StatusCode::kResourceExhausted, reason::kSessionLimit,
                            fmt::format("the broker has {} sessions already (option sessions_max)", others)));
  }
  active_.push_back(id);
  if (!status.ok()) session.End(status);
}

LocalSession* LocalSessions::Find(SessionId id) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

void LocalSessions::Activate(LocalSession& session) {
  if (!session.active()) active_.push_back(session.id());
  session.Activate();
}

// ---- Around a turn.

void LocalSessions::OnReady(uint64_t tag) {
  LocalSession* session = Find(SessionId(tag / 2));
  if (session == nullptr) return;
  Activate(*session);
  if (tag == ProcessTag(session->id())) {
    session->OnProcessEnd();
  } else {
    session->OnBells();
  }
}

bool LocalSessions::Read() {
  AdoptNew();
  bool any = false;
  size_t cost = 0;
  const size_t count = active_.size();
  size_t read = 0;
  for (; read < count && cost < kTurnCostMax; ++read) {
    const SessionId id = active_[(next_read_ + read) % count];
    LocalSession& session = *Find(id);
    const bool was_refused = session.refused();
    any = session.Read(cost) || any;
    if (session.refused() && !was_refused) refused_.push_back(id);
  }
  next_read_ = read < count ? (next_read_ + read) % count : 0;
  any = any || read < count;
  while (const SessionId next = large_frames_.TakeNext()) {
    LocalSession& session = *Find(next);
    Activate(session);
    session.TakeLargeFrame();
    any = true;
  }
  std::vector<SessionId> over;
  for (const SessionId id : active_)
    if (Find(id)->over()) over.push_back(id);
  for (const SessionId id : over) RemoveIfOver(id);
  return any;
}

// Consumers first: to ring a bell takes longer than to write a frame, and a message is waited for more than a
// confirm.
void LocalSessions::Write() {
  std::vector<SessionId> spoken = std::exchange(spoken_, {});
  if (spoken.size() > 1) {
    std::stable_partition(spoken.begin(), spoken.end(), [this](SessionId id) {
      const LocalSession* session = Find(id);
      return session != nullptr && session->subscribes();
    });
  }
  for (const SessionId id : spoken) {
    LocalSession* session = Find(id);
    if (session == nullptr) continue;
    session->Pump();
    if (session->wants_look()) Activate(*session);
    RemoveIfOver(id);
  }
}

bool LocalSessions::Park() {
  std::erase_if(active_, [this](SessionId id) {
    LocalSession& session = *Find(id);
    return session.Arm();
  });
  return active_.empty() && !large_frames_.HasNext();
}

void LocalSessions::OnSecond() {
  std::vector<SessionId> ids;
  for (const auto& [id, session] : sessions_) ids.push_back(id);
  for (const SessionId id : ids) {
    LocalSession& session = *Find(id);
    session.OnSecond();
    RemoveIfOver(id);
  }
}

void LocalSessions::Ring() {
  for (const SessionId id : std::exchange(refused_, {})) {
    LocalSession* session = Find(id);
    if (session == nullptr || !session->refused()) continue;
    Activate(*session);
    session->Retry();
    if (session->refused()) refused_.push_back(id);
  }
}

void LocalSessions::RemoveIfOver(SessionId id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end() || !found->second->over()) return;
  parking_->Unwatch(found->second->socket());
  if (found->second->process() >= 0) parking_->Unwatch(found->second->process());
  std::erase(active_, id);
  {
    const MutexLock lock(mutex_);
    shares_.Remove(found->second->peer());
  }
  sessions_.erase(found);
  facts_->sessions.fetch_sub(1, std::memory_order_relaxed);
}

// ---- The end.

void LocalSessions::StopReading() {
  stopping_ = true;
  for (const auto& [id, session] : sessions_) session->StopReading();
}

void LocalSessions::EndAll(const absl::Status& why) {
  AdoptNew();
  std::vector<SessionId> ids;
  for (const auto& [id, session] : sessions_) ids.push_back(id);
  for (const SessionId id : ids) {
    Find(id)->End(why);
    RemoveIfOver(id);
  }
}

void LocalSessions::Shutdown(std::chrono::milliseconds grace) {
  const auto deadline = std::chrono::steady_clock::now() + grace;
  while (!sessions_.empty() && std::chrono::steady_clock::now() < deadline) {
    std::vector<uint64_t> ready;
    if (Park()) parking_->Wait(std::chrono::milliseconds(50), ready);
    for (const uint64_t tag : ready) OnReady(tag);
    Read();
  }
  sessions_.clear();
  active_.clear();
}

}  // namespace baton

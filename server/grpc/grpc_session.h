// GrpcSession carries one session over a bidirectional stream: one Read outstanding while the session wants
// it, one Write outstanding while there is something to say. GrpcSessions keeps those of one completion
// queue.
//
// THREADS: the queue's thread.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/async_stream.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "baton/v1/broker.grpc.pb.h"
#include "server/grpc/grpc_queue.h"
#include "server/session/broker_facts.h"
#include "server/session/client_session.h"

namespace baton {

class GrpcSessions;

class GrpcSession {
 public:
  using Service = v1::Broker::AsyncService;

  explicit GrpcSession(GrpcSessions* sessions);
  ~GrpcSession();
  GrpcSession(const GrpcSession&) = delete;
  GrpcSession& operator=(const GrpcSession&) = delete;

  // Waits for a client's call; from then on the object deletes itself when everything has come back.
  void Accept();

  void Pump();   // writes what waits, ends what is over
  void Retry();  // the inbox has room
  void End(const absl::Status& why);
  void StopReading() { stop_reading_ = true; }
  void OnSecond(std::chrono::steady_clock::time_point now);

 private:
  void OnAccepted(bool ok);
  void OnRead(bool ok);
  void OnWrote(bool ok);
  void OnFinished(bool ok);
  void OnDone(bool ok);

  void Follow(ClientSession::Reading reading);
  void Finish(const absl::Status& status);
  void Returned();  // an operation has come back; the last one deletes the object

  GrpcSessions* const sessions_;
  grpc::ServerContext context_;
  grpc::ServerAsyncReaderWriter<v1::ServerFrame, v1::ClientFrame> stream_{&context_};
  GrpcMemberTag<GrpcSession, &GrpcSession::OnAccepted> accepted_tag_{this};
  GrpcMemberTag<GrpcSession, &GrpcSession::OnRead> read_tag_{this};
  GrpcMemberTag<GrpcSession, &GrpcSession::OnWrote> wrote_tag_{this};
  GrpcMemberTag<GrpcSession, &GrpcSession::OnFinished> finished_tag_{this};
  GrpcMemberTag<GrpcSession, &GrpcSession::OnDone> done_tag_{this};

  std::shared_ptr<ClientSession> session_;  // null until accepted; shared with the engine's thread
  v1::ClientFrame in_;
  v1::ServerFrame out_;
  int outstanding_ = 0;  // operations that have not come back
  bool writing_ = false;
  bool finishing_ = false;
  bool full_ = false;     // the client must take something first
  bool refused_ = false;  // waits for room in the inbox
  bool stop_reading_ = false;
  bool was_active_ = false;                      // since the last OnSecond
  std::chrono::seconds taking_time_max_{};       // of the outstanding write
  std::chrono::steady_clock::time_point since_;  // the outstanding write was begun, or the call accepted
};

class GrpcSessions {
 public:
  // `on_gone` is called after each session that has ended.
  GrpcSessions(BrokerFacts* facts, GrpcQueue* queue, GrpcSession::Service* service,
               std::function<void()> on_gone);

  void AcceptNext();
  // No frame is read any more, no new session accepted.
  void StopReading();
  // Ends every session, with this reason.
  void EndAll(const absl::Status& why);
  void OnSecond();
  void OnRoom();

  BrokerFacts* facts() const { return facts_; }
  GrpcQueue* queue() const { return queue_; }
  GrpcSession::Service* service() const { return service_; }
  bool stopping() const { return stopping_; }

  void Add(SessionId id, GrpcSession* session) { sessions_.emplace(id, session); }
  void Remove(SessionId id);
  size_t size() const { return sessions_.size(); }
  void Wake(SessionId id);
  void AddRefused(SessionId id) { refused_.push_back(id); }

  // Objects that exist, the one that waits for a client included.
  void NoteBorn() { ++live_; }
  void NoteGone() { --live_; }
  size_t live() const { return live_; }

 private:
  std::vector<SessionId> Ids() const;

  BrokerFacts* const facts_;
  GrpcQueue* const queue_;
  GrpcSession::Service* const service_;
  const std::function<void()> on_gone_;
  absl::flat_hash_map<SessionId, GrpcSession*> sessions_;  // each deletes itself, after Remove
  std::vector<SessionId> refused_;
  size_t live_ = 0;
  bool stopping_ = false;
};

}  // namespace baton

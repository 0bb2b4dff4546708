#include "server/grpc/grpc_session.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "server/grpc/grpc_peer.h"
#include "server/grpc/grpc_status.h"

namespace baton {
namespace {

constexpr std::chrono::seconds kHelloWaitMax{10};
// What a session keeps of the last frame, to read the next one into; and the bodies, for good publishers send
// many alike.
constexpr size_t kKeptInBytesMax = 256u << 10;
constexpr size_t kKeptOutBytesMax = 256u << 10;  // of a frame that was written: gRPC has made its own of it
constexpr size_t kEntryBytes = 256;

// About what the small things in `frame` hold, which are much smaller on the wire.
size_t BytesOf(const v1::ClientFrame& frame) {
  size_t bytes =
      kEntryBytes * static_cast<size_t>(frame.subscribe_size() + frame.publish_size() + frame.settle_size() +
                                        frame.credit_size() + frame.unsubscribe_size());
  for (const v1::Settle& settle : frame.settle()) {
    bytes += sizeof(uint64_t) * static_cast<size_t>(settle.tags_size());
  }
  return bytes;
}

}  // namespace

GrpcSession::GrpcSession(GrpcSessions* sessions) : sessions_(sessions) { sessions_->NoteBorn(); }
GrpcSession::~GrpcSession() { sessions_->NoteGone(); }

void GrpcSession::Accept() {
  context_.AsyncNotifyWhenDone(&done_tag_);
  grpc::ServerCompletionQueue* queue = sessions_->queue()->get();
  sessions_->service()->RequestSession(&context_, &stream_, queue, queue, &accepted_tag_);
  outstanding_ = 1;
}

void GrpcSession::OnAccepted(bool ok) {
  if (!ok) {  // the server shuts down; then done_tag_ does not come
    delete this;
    return;
  }
  ++outstanding_;  // done_tag_
  if (!sessions_->stopping()) sessions_->AcceptNext();
  BrokerFacts* facts = sessions_->facts();
  const size_t others = facts->sessions.fetch_add(1, std::memory_order_relaxed);  // a count, orders nothing
  session_ = std::make_shared<ClientSession>(facts, PeerOf(context_), [sessions = sessions_](SessionId id) {
    sessions->queue()->Post([sessions, id] { sessions->Wake(id); });
  });
  sessions_->Add(session_->id(), this);
  since_ = std::chrono::steady_clock::now();
  if (sessions_->stopping()) {
    Finish(BrokerStopping());
  } else if (others >= facts->sessions_max) {
    facts->NoteIncident({.event = "there are as many sessions as there may be (option sessions_max)",
                         .peer = PeerOf(context_),
                         .done = "refused a session"});
    Finish(MakeError(absl::StatusCode::kResourceExhausted, reason::kSessionLimit,
                     fmt::format("the broker has {} sessions already (option sessions_max)", others)));
  } else {
    Follow(ClientSession::Reading::kNext);
  }
  Returned();
}

void GrpcSession::OnRead(bool ok) {
  was_active_ = true;
  if (ok && !finishing_) {
    const ClientSession::Reading reading = session_->OnFrame(in_);
    if (BytesOf(in_) > kKeptInBytesMax) v1::ClientFrame().Swap(&in_);
    Follow(reading);
  } else if (!ok) {
    // Says nothing to a client that is gone, and the truth to one that is not.
    session_->End(
        ProtocolViolation("the stream ended without a Goodbye, or with a frame that cannot be read"));
  }
  Pump();
  Returned();
}

void GrpcSession::Follow(ClientSession::Reading reading) {
  refused_ = reading == ClientSession::Reading::kRefused;
  if (refused_) sessions_->AddRefused(session_->id());
  if (reading != ClientSession::Reading::kNext || stop_reading_ || finishing_) return;
  full_ = session_->IsFull();  // then OnWrote goes on
  if (full_) return;
  ++outstanding_;
  stream_.Read(&in_, &read_tag_);
}

void GrpcSession::Retry() {
  if (!refused_ || finishing_) return;
  Follow(session_->Retry());
  Pump();
}

void GrpcSession::Pump() {
  if (writing_ || finishing_ || session_ == nullptr) return;
  out_.Clear();
  if (session_->TakeFrame(out_)) {
    writing_ = true;
    was_active_ = true;
    since_ = std::chrono::steady_clock::now();
    ++outstanding_;
    stream_.Write(out_, &wrote_tag_);
    const auto bytes = static_cast<size_t>(out_.GetCachedSize());
    taking_time_max_ = SessionOutbox::TakingTimeMax(bytes);
    if (bytes > kKeptOutBytesMax) v1::ServerFrame().Swap(&out_);
  } else if (session_->IsOver()) {
    Finish(session_->end_status());
  }
}

void GrpcSession::OnWrote(bool ok) {
  writing_ = false;
  if (!ok) session_->Lost();
  if (full_) Follow(ClientSession::Reading::kNext);
  Pump();
  Returned();
}

void GrpcSession::Finish(const absl::Status& status) {
  finishing_ = true;
  session_->Lost();
  ++outstanding_;
  stream_.Finish(ToGrpcStatus(status), &finished_tag_);
}

void GrpcSession::OnFinished(bool /*ok*/) { Returned(); }

void GrpcSession::OnDone(bool /*ok*/) {
  if (context_.IsCancelled()) {
    session_->Lost();
    Pump();  // finishes, at once or when the outstanding write has come back
  }
  Returned();
}

void GrpcSession::End(const absl::Status& why) {
  if (session_ == nullptr || finishing_) return;
  session_->End(why);
  Pump();
}

void GrpcSession::OnSecond(std::chrono::steady_clock::time_point now) {
  const bool silent = !session_->said_hello() && now - since_ > kHelloWaitMax;
  // Who takes a frame slowly may, unless others wait for the room.
  const bool wanted = sessions_->facts()->outbox_bytes.awaited.load();
  const bool stalled = writing_ && now - since_ > (wanted ? kOutboxStallMax : taking_time_max_);
  session_->ResumeDeliveries();
  if (stalled) {
    sessions_->facts()->NoteIncident({.event = "a session does not take what it is sent",
                                      .peer = PeerOf(context_),
                                      .done = "ended the session"});
    context_.TryCancel();  // every operation comes back, OnDone ends the session
    return;
  }
  if (silent) {
    End(ProtocolViolation(fmt::format("no Hello came within {} seconds", kHelloWaitMax.count())));
    return;
  }
  if (std::exchange(was_active_, false) || writing_) return;
  session_->FreeSpareMemory();
  v1::ServerFrame().Swap(&out_);
  v1::ClientFrame().Swap(&in_);
}

void GrpcSession::Returned() {
  if (--outstanding_ > 0) return;
  sessions_->facts()->sessions.fetch_sub(1, std::memory_order_relaxed);
  sessions_->Remove(session_->id());
  delete this;
}

// ---- All of a queue.

GrpcSessions::GrpcSessions(BrokerFacts* facts, GrpcQueue* queue, GrpcSession::Service* service,
                           std::function<void()> on_gone)
    : facts_(facts), queue_(queue), service_(service), on_gone_(std::move(on_gone)) {}

void GrpcSessions::AcceptNext() { (new GrpcSession(this))->Accept(); }

void GrpcSessions::Remove(SessionId id) {
  sessions_.erase(id);
  on_gone_();
}

void GrpcSessions::Wake(SessionId id) {
  const auto found = sessions_.find(id);
  if (found != sessions_.end()) found->second->Pump();
}

// A copy: what is done to a session may remove it.
std::vector<SessionId> GrpcSessions::Ids() const {
  std::vector<SessionId> ids;
  ids.reserve(sessions_.size());
  for (const auto& [id, session] : sessions_) ids.push_back(id);
  return ids;
}

void GrpcSessions::StopReading() {
  stopping_ = true;
  for (const auto& [id, session] : sessions_) session->StopReading();
}

void GrpcSessions::EndAll(const absl::Status& why) {
  for (const SessionId id : Ids()) {
    const auto found = sessions_.find(id);
    if (found != sessions_.end()) found->second->End(why);
  }
}

void GrpcSessions::OnSecond() {
  const auto now = std::chrono::steady_clock::now();
  for (const SessionId id : Ids()) {
    const auto found = sessions_.find(id);
    if (found != sessions_.end()) found->second->OnSecond(now);
  }
}

void GrpcSessions::OnRoom() {
  for (const SessionId id : std::exchange(refused_, {})) {
    const auto found = sessions_.find(id);
    if (found != sessions_.end()) found->second->Retry();
  }
}

}  // namespace baton

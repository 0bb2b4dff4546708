#include "client/transport/grpc_transport.h"

#include <utility>

#include "base/check.h"
#include "client/transport/grpc_status.h"

namespace baton::client {
namespace {

enum Operation : intptr_t { kStart = 1, kRead, kWrite, kFinish, kAlarm };

void* Tag(Operation operation) { return reinterpret_cast<void*>(static_cast<intptr_t>(operation)); }

// The steady clock is CLOCK_MONOTONIC, on both sides.
gpr_timespec ToTimespec(SteadyTime time) {
  if (time == SteadyTime::max()) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  const auto since_boot = time.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_boot);
  gpr_timespec out;
  out.tv_sec = seconds.count();
  out.tv_nsec = static_cast<int32_t>(std::chrono::nanoseconds(since_boot - seconds).count());
  out.clock_type = GPR_CLOCK_MONOTONIC;
  return out;
}

}  // namespace

GrpcTransport::GrpcTransport(std::shared_ptr<grpc::Channel> channel)
    : stub_(v1::Broker::NewStub(std::move(channel))) {}

GrpcTransport::~GrpcTransport() {
  Close();
  while (state_ != State::kIdle) Next(SteadyTime::max());
  alarm_.Cancel();
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

void GrpcTransport::Open() {
  BATON_CHECK(state_ == State::kIdle);
  context_ = std::make_unique<grpc::ClientContext>();
  // The call waits for the connection: while it does, our queue polls the channel's socket. A call that
  // failed at once would leave a connection that is just being made without anyone who reads the broker's
  // first bytes.
  context_->set_wait_for_ready(true);
  finishing_ = false;
  finished_ = false;
  frame_taken_ = false;
  state_ = State::kStarting;
  starting_ = true;
  stream_ = stub_->PrepareAsyncSession(context_.get(), &queue_);
  stream_->StartCall(Tag(kStart));
}

void GrpcTransport::Write(const v1::ClientFrame& frame) {
  BATON_CHECK(CanWrite());
  writing_ = true;
  stream_->Write(frame, Tag(kWrite));  // serializes before it returns
}

Transport::Event GrpcTransport::Next(SteadyTime deadline) {
  if (frame_taken_ && state_ == State::kOpen) {
    frame_taken_ = false;
    reading_ = true;
    stream_->Read(&frame_, Tag(kRead));
  }
  while (true) {
    void* tag = nullptr;
    bool ok = false;
    const auto status = queue_.AsyncNext(&tag, &ok, ToTimespec(deadline));
    if (status == grpc::CompletionQueue::TIMEOUT) return Event::kTimeout;
    BATON_CHECK(status == grpc::CompletionQueue::GOT_EVENT);
    Event event = Event::kTimeout;
    if (Complete(tag, ok, event)) return event;
  }
}

bool GrpcTransport::Complete(void* tag, bool ok, Event& event) {
  bool tell = false;
  switch (static_cast<Operation>(reinterpret_cast<intptr_t>(tag))) {
    case kAlarm:
      ringing_.store(false);
      event = Event::kWoken;
      return true;
    case kStart:
      starting_ = false;
      if (ok && state_ == State::kStarting) {
        state_ = State::kOpen;
        reading_ = true;
        stream_->Read(&frame_, Tag(kRead));
        event = Event::kWritten;
        tell = true;
      }
      break;
    case kRead:
      reading_ = false;
      frame_taken_ = ok;
      event = Event::kFrame;
      tell = ok && state_ == State::kOpen;
      break;
    case kWrite:
      writing_ = false;
      event = Event::kWritten;
      tell = ok && state_ == State::kOpen;
      break;
    case kFinish:
      finished_ = true;
      break;
  }
  if (!ok) End();
  if (state_ == State::kEnding && !starting_ && !finishing_) End();
  if (state_ == State::kEnding && AllDone()) {
    close_status_ = FromGrpc(grpc_status_);
    stream_.reset();
    context_.reset();
    state_ = State::kIdle;
    event = Event::kClosed;
    return true;
  }
  return tell;
}

void GrpcTransport::End() {
  state_ = State::kEnding;
  if (starting_ || finishing_) return;
  finishing_ = true;
  stream_->Finish(&grpc_status_, Tag(kFinish));
}

void GrpcTransport::Close() {
  if (state_ == State::kIdle) return;
  context_->TryCancel();
  End();
}

void GrpcTransport::Wake() {
  if (ringing_.exchange(true)) return;
  alarm_.Set(&queue_, gpr_inf_past(GPR_CLOCK_MONOTONIC), Tag(kAlarm));
}

}  // namespace baton::client

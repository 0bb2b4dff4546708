// The session over a gRPC stream, by a completion queue: the callback API wakes late after a second of
// silence on small hosts (docs/architecture.md).
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>

#include "baton/v1/broker.grpc.pb.h"
#include "client/transport/transport.h"

namespace baton::client {

class GrpcTransport final : public Transport {
 public:
  explicit GrpcTransport(std::shared_ptr<grpc::Channel> channel);
  ~GrpcTransport() override;

  void Open() override;
  bool CanWrite() const override { return state_ == State::kOpen && !writing_; }
  void Write(const v1::ClientFrame& frame) override;
  Event Next(SteadyTime deadline) override;
  v1::ServerFrame& frame() override { return frame_; }
  const absl::Status& close_status() const override { return close_status_; }
  void Close() override;
  void Wake() override;

 private:
  enum class State {
    kIdle,      // no call
    kStarting,  // the call is being started
    kOpen,      // frames flow
    kEnding,    // broken or given up: waiting for the operations on their way, and for the call's status
  };

  // Takes in one completed operation; an event when the owner is to know.
  bool Complete(void* tag, bool ok, Event& event);
  void End();
  bool AllDone() const { return !starting_ && !reading_ && !writing_ && finished_; }

  const std::unique_ptr<v1::Broker::Stub> stub_;
  grpc::CompletionQueue queue_;

  // Owner thread.
  State state_ = State::kIdle;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::ClientFrame, v1::ServerFrame>> stream_;
  bool starting_ = false;
  bool reading_ = false;
  bool writing_ = false;
  bool finishing_ = false;
  bool finished_ = false;
  bool frame_taken_ = false;  // frame() was given out: the next read may overwrite it
  v1::ServerFrame frame_;
  grpc::Status grpc_status_;
  absl::Status close_status_;

  // Any thread.
  std::atomic<bool> ringing_{false};  // the alarm is set, and its completion not taken yet
  grpc::Alarm alarm_;
};

}  // namespace baton::client

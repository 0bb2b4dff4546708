// The session over rings in memory that is shared with a broker on the same host (docs/protocol.md).
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "client/transport/backoff.h"
#include "client/transport/transport.h"
#include "local/frame_stream.h"
#include "local/handshake.h"
#include "local/segment.h"

namespace baton::client {

class LocalTransport final : public Transport {
 public:
  // `path` of the broker's baton.sock.
  explicit LocalTransport(std::string path);
  ~LocalTransport() override;

  void Open() override;
  bool CanWrite() const override;
  void Write(const v1::ClientFrame& frame) override;
  bool WritesFromAnyThread() const override { return true; }
  Event Next(SteadyTime deadline) override;
  v1::ServerFrame& frame() override { return frame_; }
  const absl::Status& close_status() const override { return close_status_; }
  void Close() override;
  void Wake() override;

 private:
  enum class State { kIdle, kConnecting, kOpen, kEnding };
  struct Rings {
    explicit Rings(LocalConnection connection, Segment mapped);
    Descriptor socket;
    Segment segment;
    FrameSender sender;
    FrameReceiver receiver;
  };

  void SetState(State state);
  void TryToConnect();
  void TryAgain(const absl::Status& why);
  bool PushPending();
  std::optional<Event> Poll();
  std::optional<Event> PullFrame();
  bool Arm();
  void Sleep(SteadyTime deadline);
  void End(absl::Status why);

  const std::string path_;
  const Descriptor woken_fd_;

  // Changed by the owner thread, under the mutex; it reads them without. Others look and write under it.
  State state_ = State::kIdle;
  std::optional<Rings> rings_;
  mutable Mutex mutex_;  // of these two and the sender

  // Owner thread.
  Descriptor handshake_;       // said hello on it, not answered yet
  SteadyTime answer_due_{};    // to that
  SteadyTime next_attempt_{};  // without one
  Backoff pauses_;             // between attempts
  v1::ServerFrame frame_;
  absl::Status close_status_;

  // Any thread. Sequentially consistent: whoever wakes sets the one and looks at the other, and the owner the
  // other way round.
  std::atomic<bool> woken_{false};
  std::atomic<bool> sleeping_{false};
};

}  // namespace baton::client

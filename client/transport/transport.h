// One connection to the broker that carries frames: a gRPC stream, or rings in shared memory.
//
// The owner opens it, waits for events, and writes one frame at a time. A transport can be opened again after
// kClosed. THREADS: one owner thread for everything but Wake, and where WritesFromAnyThread, CanWrite and
// Write.
#pragma once

#include "absl/status/status.h"
#include "baton/v1/session.pb.h"
#include "client/mutex.h"

namespace baton::client {

class Transport {
 public:
  enum class Event {
    kFrame,    // frame() came
    kWritten,  // connected, or the frame given to Write has left: CanWrite is true
    kClosed,   // the connection is over, or was never made: close_status() says why. Nothing follows
    kWoken,    // by Wake
    kTimeout,  // nothing happened until the deadline
  };

  virtual ~Transport() = default;

  // Starts connecting, and returns at once. Goes on trying, with pauses, while the broker is not there.
  // REQUIRES: never opened, or kClosed came.
  virtual void Open() = 0;
  // Open, and no frame on its way.
  virtual bool CanWrite() const = 0;
  // Sends a frame. It may be changed as soon as this returns. REQUIRES: CanWrite(), which may still be true
  // afterwards.
  virtual void Write(const v1::ClientFrame& frame) = 0;
  // Any thread may write, one at a time: that saves waking the owner. A frame written while the connection
  // ends is lost like one on its way. When CanWrite is false afterwards the owner must be woken.
  virtual bool WritesFromAnyThread() const { return false; }
  // BLOCKS until the next event.
  virtual Event Next(SteadyTime deadline) = 0;
  // The last frame that came; the owner may take its contents. Valid until Next.
  virtual v1::ServerFrame& frame() = 0;
  virtual const absl::Status& close_status() const = 0;
  // Gives the connection up; kClosed follows. Nothing when it is not open.
  virtual void Close() = 0;

  // Makes Next return kWoken, now or at its next call; several calls may be answered once. Any thread.
  virtual void Wake() = 0;
};

}  // namespace baton::client

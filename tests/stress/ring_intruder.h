// A client over rings that may write any byte of what it shares with the broker, and send anything over the
// socket. It maps the segment itself, and keeps no rule that a test does not want kept.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "baton/v1/session.pb.h"
#include "local/descriptor.h"
#include "local/frame_stream.h"
#include "local/segment_layout.h"

namespace baton {

// A connection to the broker's socket that has said nothing yet; blocking, with a time limit on each call.
Descriptor ConnectSilently(const std::string& socket_path);

// Sends `bytes` with `count` descriptors of /dev/null beside them. False: the socket does not take them.
bool SendDescriptors(int socket, std::string_view bytes, size_t count);

// Reads until the broker closes the connection. How long that took; nullopt: longer than `timeout`.
std::optional<std::chrono::milliseconds> AwaitClosing(int socket, std::chrono::milliseconds timeout);

class RingIntruder {
 public:
  // Connects, and maps what it is given. REQUIRES: the broker takes it.
  explicit RingIntruder(const std::string& socket_path);
  ~RingIntruder();
  RingIntruder(const RingIntruder&) = delete;
  RingIntruder& operator=(const RingIntruder&) = delete;

  // ---- As a good client. False: the broker has closed the socket, or does nothing for long.

  bool SayHello(uint64_t producer_id = 0);
  bool Subscribe(uint64_t subscription, const std::string& queue, uint32_t credit);
  // One batch; each message is `bodies[i]`.
  bool Publish(const std::string& queue, uint64_t first_sequence, const std::vector<std::string>& bodies);
  bool Say(const google::protobuf::MessageLite& frame);
  bool Hear(v1::ServerFrame& frame);
  // The reason of the GoAway among the frames that are still to be heard; "" when there is none.
  std::string HearGoAway();

  // ---- As no client should.

  // Takes up to so many bytes of what it is told; the frame that they complete, if any.
  std::optional<v1::ServerFrame> HearSome(size_t bytes);
  // So many bytes as they are, without a length; as far as there is room. Rings when it is asked to.
  size_t SayBytes(std::string_view bytes);
  void SayLength(uint32_t length);
  // Rings if the broker sleeps, as anybody may who has changed something.
  void Knock();
  void Ring(size_t bells);
  // Until the broker's side asks to be rung. False: it does not, for long, or has closed the socket.
  bool AwaitArmed();

  // What is shared.
  std::span<char> memory() const { return {memory_, bytes_}; }
  SegmentHeader& header() const { return *reinterpret_cast<SegmentHeader*>(memory_); }
  RingIndices& to_broker() const { return *reinterpret_cast<RingIndices*>(memory_ + kToBrokerIndicesOffset); }
  RingIndices& to_client() const { return *reinterpret_cast<RingIndices*>(memory_ + kToClientIndicesOffset); }
  std::span<char> to_broker_bytes() const { return {memory_ + kRingsOffset, ring_bytes_}; }
  std::span<char> to_client_bytes() const { return {memory_ + kRingsOffset + ring_bytes_, ring_bytes_}; }
  int socket() const { return socket_.get(); }

  // How long the broker took to close the socket. nullopt: it did not.
  std::optional<std::chrono::milliseconds> AwaitEnd(
      std::chrono::milliseconds timeout = std::chrono::seconds(5)) const {
    return AwaitClosing(socket(), timeout);
  }
  // The broker has closed the socket already.
  bool IsOver() const;

 private:
  bool Sleep() const;

  Descriptor socket_;
  char* memory_ = nullptr;
  size_t bytes_ = 0;
  size_t ring_bytes_ = 0;
  std::optional<RingWriter> writer_;
  std::optional<FrameReceiver> receiver_;
};

}  // namespace baton

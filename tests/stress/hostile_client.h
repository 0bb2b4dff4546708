// Clients that break rules: calls whose messages are any bytes, and sessions that say whatever a test likes.
// What never comes ends with their deadline, which no test expects.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>

#include "baton/v1/broker.grpc.pb.h"
#include "tests/support/local_broker.h"

namespace baton {

using Random = std::mt19937_64;

// 0 … max.
inline uint64_t Upto(Random& random, uint64_t max) {
  return std::uniform_int_distribution<uint64_t>(0, max)(random);
}
inline bool Chance(Random& random, uint32_t percent) { return Upto(random, 99) < percent; }
std::string RandomBytes(Random& random, size_t length);

// A connection of its own to the broker's socket.
std::shared_ptr<grpc::Channel> NewConnection(const LocalBroker& broker);
std::shared_ptr<grpc::Channel> NewConnection(const std::string& socket_path);

// One call of any method, its messages as bytes. One operation at a time.
class ByteCall {
 public:
  ByteCall(std::shared_ptr<grpc::Channel> channel, const std::string& method);
  ~ByteCall();
  ByteCall(const ByteCall&) = delete;
  ByteCall& operator=(const ByteCall&) = delete;

  bool Say(const std::string& bytes);
  void SayNoMore();
  bool Hear();
  // After everything the broker says.
  grpc::Status Finish();

 private:
  bool Await();

  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<grpc::ClientContext> context_;
  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
};

// How a session was ended.
struct Ending {
  std::optional<v1::GoAway> go_away;
  grpc::Status status;
};
// That the client was told why: a reason in the status, and the same one in a GoAway if there was one.
testing::AssertionResult WasTold(const Ending& ending);
// That, or a session that ended well.
testing::AssertionResult EndedProperly(const Ending& ending);

class HostileSession {
 public:
  explicit HostileSession(std::shared_ptr<grpc::Channel> channel);
  ~HostileSession() { context_->TryCancel(); }
  HostileSession(const HostileSession&) = delete;
  HostileSession& operator=(const HostileSession&) = delete;

  bool Say(const v1::ClientFrame& frame) { return stream_->Write(frame); }
  bool SayHello(uint64_t producer_id = 0);
  bool Subscribe(uint64_t subscription, const std::string& queue, uint32_t credit);
  bool SayGoodbye();
  void SayNoMore() { (void)stream_->WritesDone(); }
  bool Hear(v1::ServerFrame& frame) { return stream_->Read(&frame); }
  // Reads all that the broker says.
  Ending Finish();

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Broker::Stub> stub_;
  const std::unique_ptr<grpc::ClientContext> context_;
  const std::unique_ptr<grpc::ClientReaderWriter<v1::ClientFrame, v1::ServerFrame>> stream_;
};

// A frame that can be read, of values that no one would think of. Publishes continue with `next_sequence`,
// mostly.
v1::ClientFrame RandomFrame(Random& random, uint64_t& next_sequence);

// Bytes: any, or of a frame that was cut or changed.
std::string SomethingLikeAFrame(Random& random);

}  // namespace baton

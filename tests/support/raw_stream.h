// A session's frames as such, over any carrier; what the conformance tests speak. Every call has a deadline;
// what never comes looks like the end of the stream.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "baton/v1/broker.grpc.pb.h"

namespace baton {

enum class CarrierKind { kGrpcTcp, kGrpcUnix, kRings };
std::string NameOf(CarrierKind carrier);

class RawStream {
 public:
  virtual ~RawStream() = default;
  virtual void Write(const v1::ClientFrame& frame) = 0;
  // The next frame; false: there is none any more.
  virtual bool Read(v1::ServerFrame& frame) = 0;
  // How it ended. After Read gave false.
  virtual grpc::Status Finish() = 0;
  // As a client that vanishes.
  virtual void Cancel() = 0;
};

std::unique_ptr<RawStream> OpenGrpcStream(v1::Broker::Stub& stub);
// `socket_path` of baton.sock. A refused handshake is a stream that has ended.
std::unique_ptr<RawStream> OpenRingStream(const std::string& socket_path);

}  // namespace baton

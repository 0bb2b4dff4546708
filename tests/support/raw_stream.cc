#include "tests/support/raw_stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/limits.h"
#include "baton/v1/rpc_status.pb.h"
#include "local/frame_stream.h"
#include "local/handshake.h"
#include "local/segment.h"

namespace baton {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{30};

class GrpcRawStream final : public RawStream {
 public:
  explicit GrpcRawStream(v1::Broker::Stub& stub) {
    context_.set_deadline(std::chrono::system_clock::now() + kPatience);
    stream_ = stub.Session(&context_);
  }
  ~GrpcRawStream() override { context_.TryCancel(); }
  void Write(const v1::ClientFrame& frame) override { std::ignore = stream_->Write(frame); }
  bool Read(v1::ServerFrame& frame) override { return stream_->Read(&frame); }
  grpc::Status Finish() override { return stream_->Finish(); }
  void Cancel() override { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ClientFrame, v1::ServerFrame>> stream_;
};

// As gRPC would tell it.
grpc::Status RpcStatusOf(uint32_t code, const std::string& reason, const std::string& message) {
  v1::RpcErrorInfo info;
  info.set_reason(reason);
  v1::RpcStatus details;
  auto* detail = details.add_details();
  detail->set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  detail->set_value(info.SerializeAsString());
  return grpc::Status(static_cast<grpc::StatusCode>(code), message, details.SerializeAsString());
}

class RingRawStream final : public RawStream {
 public:
  explicit RingRawStream(const std::string& socket_path) {
    auto connection = ConnectLocally(socket_path, static_cast<int>(kPatience.count() * 1000));
    absl::Status status = connection.status();
    if (status.ok()) {
      socket_ = std::move(connection->socket);
      auto mapped = Segment::Map(std::move(connection->segment));
      status = mapped.status();
      if (mapped.ok()) {
        segment_.emplace(*std::move(mapped));
        sender_.emplace(segment_->ToBroker());
        receiver_.emplace(segment_->FromBroker(), kFrameBytesMax, kFrameBytesMax);
      }
    }
    if (!status.ok()) {
      end_ =
          RpcStatusOf(static_cast<uint32_t>(status.code()), ReasonOf(status), std::string(status.message()));
    }
  }

  // Until all of it is in the ring. A broker that does not read ends the test's patience.
  void Write(const v1::ClientFrame& frame) override {
    // Of a broker that has gone, or read no more, half a frame may be left.
    if (!sender_.has_value() || !sender_->idle()) return;
    const auto deadline = steady_clock::now() + kPatience;
    sender_->Begin(frame);
    while (true) {
      if (sender_->Push()) RingBell(socket_.get());
      if (sender_->idle() || steady_clock::now() >= deadline) return;
      if (sender_->WaitForRoom() && !Sleep()) return;
    }
  }

  bool Read(v1::ServerFrame& frame) override {
    if (!receiver_.has_value()) return false;
    const auto deadline = steady_clock::now() + kPatience;
    while (steady_clock::now() < deadline) {
      size_t budget = SIZE_MAX;
      const auto state = receiver_->Pull(budget);
      if (receiver_->Release()) RingBell(socket_.get());
      if (state == FrameReceiver::State::kFrame) {
        const std::string_view bytes = receiver_->frame();
        if (!frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
        if (frame.has_go_away()) {
          const v1::Error& error = frame.go_away().error();
          end_ = RpcStatusOf(error.code(), error.reason(), error.message());
        }
        return true;
      }
      if (state != FrameReceiver::State::kNothing) return false;
      if (receiver_->WaitForData() && !Sleep() && !receiver_->HasData()) return false;
    }
    return false;
  }

  grpc::Status Finish() override { return end_; }
  void Cancel() override { shutdown(socket_.get(), SHUT_RDWR); }

 private:
  // False: the broker has closed the socket.
  bool Sleep() {
    pollfd waiting{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    poll(&waiting, 1, 1'000);
    return TakeBells(socket_.get()).has_value();
  }

  Descriptor socket_;
  std::optional<Segment> segment_;
  std::optional<FrameSender> sender_;
  std::optional<FrameReceiver> receiver_;
  grpc::Status end_;
};

}  // namespace

std::string NameOf(CarrierKind carrier) {
  switch (carrier) {
    case CarrierKind::kGrpcTcp:
      return "GrpcTcp";
    case CarrierKind::kGrpcUnix:
      return "GrpcUnix";
    case CarrierKind::kRings:
      return "Rings";
  }
  return "";
}

std::unique_ptr<RawStream> OpenGrpcStream(v1::Broker::Stub& stub) {
  return std::make_unique<GrpcRawStream>(stub);
}

std::unique_ptr<RawStream> OpenRingStream(const std::string& socket_path) {
  return std::make_unique<RingRawStream>(socket_path);
}

}  // namespace baton

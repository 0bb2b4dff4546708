#include "tests/support/local_broker.h"

#include <algorithm>

#include "base/check.h"
#include "base/runtime_dir.h"
#include "baton/v1/rpc_status.pb.h"
#include "gtest/gtest.h"
#include "tests/support/raw_frames.h"

namespace baton {
namespace {

constexpr std::chrono::seconds kPatience{30};

template <class Column>
auto At(const Column& column, int index, decltype(column.Get(0)) absent) {
  return column.empty() ? absent : column.Get(index);
}

}  // namespace

std::unique_ptr<grpc::ClientContext> PatientContext() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + kPatience);
  return context;
}

std::string ReasonOfRpc(const grpc::Status& status) {
  v1::RpcStatus details;
  v1::RpcErrorInfo info;
  if (!details.ParseFromString(status.error_details()) || details.details_size() != 1) return "";
  if (details.details(0).type_url() != "type.googleapis.com/google.rpc.ErrorInfo") return "";
  return info.ParseFromString(details.details(0).value()) ? info.reason() : "";
}

LocalBroker::LocalBroker(Config config, CarrierKind carrier) : config_(std::move(config)), carrier_(carrier) {
  config_.data_dir = directory_.path() + "/data";
  config_.runtime_dir = directory_.path() + "/run";
  config_.memory_queue_dir = shared_.path();
  if (carrier == CarrierKind::kGrpcTcp) config_.listen = "127.0.0.1:0";
  Start();
}

LocalBroker::~LocalBroker() = default;

void LocalBroker::Start() {
  auto started = Broker::Start({.config = config_, .version = "test", .log = &log_, .on_store_failure = {}});
  BATON_CHECK(started.ok()) << started.status();
  broker_ = *std::move(started);
  channel_ = OpenChannel();
  broker_stub_ = v1::Broker::NewStub(channel_);
  admin_stub_ = v1::Admin::NewStub(channel_);
}

// Not InProcessChannel: it delivers nothing to a client that does not read just then, and loses what a
// broker says last.
std::shared_ptr<grpc::Channel> LocalBroker::OpenChannel() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt("baton.channel", ++channels_);  // a connection of its own
  const std::string target = carrier_ == CarrierKind::kGrpcTcp
                                 ? "127.0.0.1:" + std::to_string(broker_->grpc()->tcp_port())
                                 : "unix:" + GrpcSocketPath(config_.runtime_dir);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

std::unique_ptr<RawStream> LocalBroker::OpenStream() {
  if (carrier_ == CarrierKind::kRings) return OpenRingStream(LocalSocketPath(config_.runtime_dir));
  return OpenGrpcStream(broker());
}

void LocalBroker::Restart() {
  broker_.reset();
  Start();
}

void LocalBroker::CreateQueue(const std::string& name, const v1::QueueConfig& config) {
  v1::CreateQueueRequest request;
  request.set_name(name);
  *request.mutable_config() = config;
  v1::Queue queue;
  const grpc::Status status = admin().CreateQueue(PatientContext().get(), request, &queue);
  BATON_CHECK(status.ok()) << status.error_message();
}

v1::Queue LocalBroker::GetQueue(const std::string& name) {
  v1::GetQueueRequest request;
  request.set_name(name);
  v1::Queue queue;
  const grpc::Status status = admin().GetQueue(PatientContext().get(), request, &queue);
  BATON_CHECK(status.ok()) << status.error_message();
  return queue;
}

void LocalBroker::SetPaused(const std::string& name, bool paused) {
  v1::UpdateQueueRequest request;
  request.set_name(name);
  request.set_paused(paused);
  v1::Queue queue;
  const grpc::Status status = admin().UpdateQueue(PatientContext().get(), request, &queue);
  BATON_CHECK(status.ok()) << status.error_message();
}

void LocalBroker::PurgeQueue(const std::string& name) {
  v1::PurgeQueueRequest request;
  request.set_name(name);
  v1::PurgeQueueResponse response;
  const grpc::Status status = admin().PurgeQueue(PatientContext().get(), request, &response);
  BATON_CHECK(status.ok()) << status.error_message();
}

std::vector<v1::PublishResult> LocalBroker::Publish(const std::string& queue,
                                                    const std::vector<std::string>& bodies) {
  v1::PublishRequest request;
  request.set_queue(queue);
  for (const std::string& body : bodies) request.add_messages()->set_body(body);
  v1::PublishResponse response;
  const grpc::Status status = broker().Publish(PatientContext().get(), request, &response);
  BATON_CHECK(status.ok()) << status.error_message();
  return {response.results().begin(), response.results().end()};
}

std::vector<v1::ReceivedMessage> LocalBroker::Receive(const std::string& queue, uint32_t messages_max,
                                                      std::chrono::milliseconds wait) {
  v1::ReceiveRequest request;
  request.set_queue(queue);
  request.set_messages_max(messages_max);
  request.set_wait_ms(static_cast<uint64_t>(wait.count()));
  v1::ReceiveResponse response;
  const grpc::Status status = broker().Receive(PatientContext().get(), request, &response);
  BATON_CHECK(status.ok()) << status.error_message();
  return {response.messages().begin(), response.messages().end()};
}

RawSession::RawSession(LocalBroker& broker, NoHello) : stream_(broker.OpenStream()) {}

RawSession::RawSession(LocalBroker& broker, uint64_t producer_id) : RawSession(broker, NoHello()) {
  Send(HelloFrame("test", producer_id));
  AwaitFrame([this] { return hello_.session_id() != 0; });
}

void RawSession::Publish(const std::string& queue, uint64_t first_sequence,
                         const std::vector<std::string>& bodies) {
  Send(PublishFrame(queue, first_sequence, bodies));
}

void RawSession::Subscribe(uint64_t subscription, const std::string& queue, uint32_t credit) {
  Send(SubscribeFrame(subscription, queue, credit));
}

void RawSession::Subscribe(const v1::Subscribe& subscribe) {
  v1::ClientFrame frame;
  *frame.add_subscribe() = subscribe;
  Send(frame);
}

void RawSession::Settle(v1::Settle::Kind kind, const std::vector<uint64_t>& tag_pairs) {
  Send(SettleFrame(kind, tag_pairs));
}

void RawSession::Settle(const v1::Settle& settle) {
  v1::ClientFrame frame;
  *frame.add_settle() = settle;
  Send(frame);
}

void RawSession::Note(const v1::Deliveries& deliveries) {
  size_t at = 0;
  uint64_t number = deliveries.first_delivery();
  for (int i = 0; i < deliveries.body_sizes_size(); ++i) {
    if (i > 0) number += At(deliveries.delivery_distances(), i - 1, 1);
    deliveries_.push_back({.subscription = deliveries.subscription(),
                           .tag = deliveries.first_tag() + static_cast<uint64_t>(i),
                           .body = deliveries.bodies().substr(at, deliveries.body_sizes(i)),
                           .headers = deliveries.headers().empty() ? "" : deliveries.headers(i),
                           .priority = At(deliveries.priorities(), i, 0),
                           .attempt = At(deliveries.attempts(), i, 1),
                           .redelivered = At(deliveries.redelivered(), i, false),
                           .number = number,
                           .id = deliveries.ids().substr(static_cast<size_t>(i) * 24, 24),
                           .producer_id = At(deliveries.producer_ids(), i, 0),
                           .sequence = At(deliveries.sequences(), i, 0)});
    at += deliveries.body_sizes(i);
  }
}

bool RawSession::ReadFrame() {
  v1::ServerFrame frame;
  if (!stream_->Read(frame)) return false;
  if (frame.has_hello()) hello_ = frame.hello();
  for (const v1::Subscribed& subscribed : frame.subscribed()) subscribed_.push_back(subscribed);
  for (const v1::Confirm& confirm : frame.confirms()) {
    confirms_.push_back(confirm);
    confirmed_ = std::max<uint64_t>(confirmed_, confirm.last_sequence());
  }
  for (const v1::SettleReply& reply : frame.settled()) {
    settled_through_ = reply.through();
    for (const v1::SettleError& error : reply.errors()) settle_errors_.push_back(error);
  }
  for (const v1::Deliveries& deliveries : frame.deliveries()) Note(deliveries);
  for (const v1::SubscriptionEnded& ended : frame.ended()) ended_.push_back(ended);
  if (frame.has_go_away()) {
    went_away_ = true;
    go_away_ = frame.go_away();
  }
  return true;
}

void RawSession::AwaitFrame(const std::function<bool()>& enough) {
  while (!enough()) {
    if (ReadFrame()) continue;
    ADD_FAILURE() << "the stream ended: " << Finish().error_message();
    return;
  }
}

void RawSession::AwaitConfirmed(uint64_t sequence) {
  AwaitFrame([&] { return confirmed_ >= sequence; });
}

void RawSession::AwaitSettled(uint64_t through) {
  AwaitFrame([&] { return settled_through_ >= through; });
}

std::vector<RawDelivery> RawSession::AwaitDeliveries(size_t count) {
  AwaitFrame([&] { return deliveries_.size() >= count; });
  return deliveries_;
}

v1::GoAway RawSession::AwaitGoAway() {
  AwaitFrame([&] { return went_away_; });
  return go_away_;
}

grpc::Status RawSession::Finish() {
  if (finished_.has_value()) return *finished_;
  while (ReadFrame()) {
  }
  finished_ = stream_->Finish();
  return *finished_;
}

}  // namespace baton

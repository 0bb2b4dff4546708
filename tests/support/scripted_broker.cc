#include "tests/support/scripted_broker.h"

#include <utility>

#include "base/check.h"
#include "base/message_id.h"

namespace baton {
namespace {

template <class T>
T At(const google::protobuf::RepeatedField<T>& column, int index) {
  return column.empty() ? T{} : column.Get(index);
}

v1::HelloReply UsualHello(uint32_t epoch, uint32_t credit_messages, uint64_t credit_bytes) {
  v1::HelloReply hello;
  hello.set_protocol_version(1);
  hello.set_broker_version("scripted");
  hello.set_epoch(epoch);
  hello.mutable_publish_credit()->set_messages(credit_messages);
  hello.mutable_publish_credit()->set_bytes(credit_bytes);
  hello.set_body_bytes_max(4u << 20);
  hello.set_header_bytes_max(16u << 10);
  hello.set_batch_messages_max(4'096);
  return hello;
}

}  // namespace

std::string TestId(uint64_t tag) {
  std::string bytes;
  MessageId{.birth = MessageId::Birth::kReady, .lane = 0, .queue = QueueId(1), .seq = Seq(tag), .place = 0}
      .AppendTo(bytes);
  return bytes;
}

// --- the session ---

grpc::Status ScriptedSession::Serve() {
  v1::ClientFrame frame;
  while (!goodbye_ && stream_->Read(&frame)) {
    Take(frame);
    if (frame.settle_size() > 0) ReplySettledIfWanted();
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    reading_ = false;
    changed_.notify_all();
  }
  std::lock_guard<std::mutex> no_write_under_way(write_mutex_);
  std::lock_guard<std::mutex> lock(mutex_);
  return end_status_;
}

void ScriptedSession::Take(const v1::ClientFrame& frame) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (frame.has_hello()) hellos_.push_back(frame.hello());
  for (const v1::Subscribe& subscribe : frame.subscribe()) subscribes_.push_back(subscribe);
  if (frame.publish_size() > 0) ++frames_with_publishes_;
  for (const v1::PublishBatch& batch : frame.publish()) {
    size_t offset = 0;
    for (int i = 0; i < batch.body_sizes_size(); ++i) {
      publishes_.push_back({.queue = batch.queue(),
                            .sequence = batch.first_sequence() + static_cast<uint64_t>(i),
                            .body = batch.bodies().substr(offset, batch.body_sizes(i)),
                            .priority = At(batch.priorities(), i),
                            .ttl_ms = At(batch.ttl_ms(), i),
                            .delay_ms = At(batch.delay_ms(), i),
                            .headers = batch.headers().empty() ? std::string() : batch.headers(i),
                            .want_id = batch.want_ids()});
      offset += batch.body_sizes(i);
    }
    BATON_CHECK_EQ(offset, batch.bodies().size());
  }
  for (const v1::Settle& settle : frame.settle()) {
    ++last_settlement_;
    v1::Settle how = settle;
    how.clear_tags();
    for (int i = 0; i + 1 < settle.tags_size(); i += 2) {
      for (uint64_t tag = settle.tags(i); tag <= settle.tags(i) + settle.tags(i + 1); ++tag) {
        settles_.push_back({.settlement = last_settlement_, .kind = settle.kind(), .tag = tag, .how = how});
      }
    }
  }
  for (const v1::Unsubscribe& unsubscribe : frame.unsubscribe())
    unsubscribes_.push_back(unsubscribe.subscription());
  if (frame.has_goodbye()) goodbye_ = true;
  changed_.notify_all();
}

template <class T>
T ScriptedSession::Next(std::deque<T>& from, const char* what) {
  std::unique_lock<std::mutex> lock(mutex_);
  BATON_CHECK(changed_.wait_for(lock, kPatience, [&] { return !from.empty(); })) << "no " << what << " came";
  T next = std::move(from.front());
  from.pop_front();
  return next;
}

v1::Hello ScriptedSession::NextHello() { return Next(hellos_, "hello"); }
Published ScriptedSession::NextPublish() { return Next(publishes_, "publish"); }
Settled ScriptedSession::NextSettled() { return Next(settles_, "settlement"); }
v1::Subscribe ScriptedSession::NextSubscribe() { return Next(subscribes_, "subscribe"); }
uint64_t ScriptedSession::NextUnsubscribe() { return Next(unsubscribes_, "unsubscribe"); }

void ScriptedSession::AwaitGoodbye() {
  std::unique_lock<std::mutex> lock(mutex_);
  BATON_CHECK(changed_.wait_for(lock, kPatience, [&] { return goodbye_.load(); })) << "no goodbye came";
}

void ScriptedSession::AwaitEnd() {
  std::unique_lock<std::mutex> lock(mutex_);
  BATON_CHECK(changed_.wait_for(lock, kPatience, [&] { return !reading_; })) << "the session did not end";
}

size_t ScriptedSession::frames_with_publishes() {
  std::lock_guard<std::mutex> lock(mutex_);
  return frames_with_publishes_;
}

size_t ScriptedSession::publishes_waiting() {
  std::lock_guard<std::mutex> lock(mutex_);
  return publishes_.size();
}

bool ScriptedSession::Send(const v1::ServerFrame& frame) {
  std::lock_guard<std::mutex> writing(write_mutex_);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (ended_ || !reading_) return false;
  }
  return stream_->Write(frame);
}

void ScriptedSession::ReplyHello(uint32_t epoch, uint32_t credit_messages, uint64_t credit_bytes) {
  v1::ServerFrame frame;
  *frame.mutable_hello() = UsualHello(epoch, credit_messages, credit_bytes);
  Send(frame);
}

void ScriptedSession::Confirm(uint64_t first, uint64_t last) {
  v1::ServerFrame frame;
  v1::Confirm& confirm = *frame.add_confirms();
  confirm.set_first_sequence(first);
  confirm.set_last_sequence(last);
  confirm.set_durability(v1::DURABLE);
  Send(frame);
}

void ScriptedSession::ReplySubscribed(uint64_t subscription, uint64_t lease_ms) {
  v1::ServerFrame frame;
  v1::Subscribed& subscribed = *frame.add_subscribed();
  subscribed.set_subscription(subscription);
  subscribed.set_lease_ms(lease_ms);
  Send(frame);
}

void ScriptedSession::Deliver(uint64_t subscription, uint64_t first_tag,
                              const std::vector<std::string>& bodies) {
  v1::ServerFrame frame;
  v1::Deliveries& deliveries = *frame.add_deliveries();
  deliveries.set_subscription(subscription);
  deliveries.set_first_tag(first_tag);
  deliveries.set_first_delivery(100 + first_tag);
  for (size_t i = 0; i < bodies.size(); ++i) {
    deliveries.add_body_sizes(static_cast<uint32_t>(bodies[i].size()));
    deliveries.mutable_bodies()->append(bodies[i]);
    deliveries.mutable_ids()->append(TestId(first_tag + i));
    deliveries.add_published_unix_ms(1'700'000'000'000);
  }
  Send(frame);
}

void ScriptedSession::ReplySettled(uint64_t through) {
  v1::ServerFrame frame;
  frame.add_settled()->set_through(through);
  Send(frame);
}

void ScriptedSession::ReplySettledFromNowOn() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    reply_settled_ = true;
  }
  ReplySettledIfWanted();
}

void ScriptedSession::ReplySettledIfWanted() {
  uint64_t through = 0;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!reply_settled_) return;
    through = last_settlement_;
  }
  ReplySettled(through);
}

void ScriptedSession::ReplyEnded(uint64_t subscription) {
  v1::ServerFrame frame;
  frame.add_ended()->set_subscription(subscription);
  Send(frame);
}

void ScriptedSession::End(grpc::Status status) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (ended_) return;
  ended_ = true;
  end_status_ = std::move(status);
  changed_.notify_all();
  if (reading_) context_->TryCancel();  // gets the serving thread out of its Read
}

// --- the broker ---

ScriptedBroker::ScriptedBroker() {
  socket_path_ = directory_.path() + "/grpc.sock";
  Start();
}

ScriptedBroker::~ScriptedBroker() { Kill(); }

void ScriptedBroker::Start() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket_path_, grpc::InsecureServerCredentials());
  builder.RegisterService(static_cast<v1::Broker::Service*>(this));
  builder.RegisterService(static_cast<v1::Admin::Service*>(this));
  builder.SetMaxReceiveMessageSize(-1);
  server_ = builder.BuildAndStart();
  BATON_CHECK(server_ != nullptr) << socket_path_;
}

void ScriptedBroker::Kill() {
  if (server_ == nullptr) return;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& weak : live_) {
      if (const auto session = weak.lock())
        session->End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "killed"));
    }
  }
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_.reset();
}

void ScriptedBroker::AnswerHellos(bool answer) {
  std::lock_guard<std::mutex> lock(mutex_);
  answer_hellos_ = answer;
}

std::shared_ptr<ScriptedSession> ScriptedBroker::AwaitSession() {
  std::unique_lock<std::mutex> lock(mutex_);
  BATON_CHECK(changed_.wait_for(lock, kPatience, [this] { return !opened_.empty(); }))
      << "no session was opened";
  std::shared_ptr<ScriptedSession> session = std::move(opened_.front());
  opened_.pop_front();
  return session;
}

grpc::Status ScriptedBroker::Session(grpc::ServerContext* context, ScriptedSession::Stream* stream) {
  auto session = std::make_shared<ScriptedSession>(stream, context);
  bool answer = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    answer = answer_hellos_;
    opened_.push_back(session);
    live_.push_back(session);
    changed_.notify_all();
  }
  if (answer) session->ReplyHello();
  return session->Serve();
}

#define BATON_SCRIPTED_CALL(Name, Request, Response, hook)                                                \
  grpc::Status ScriptedBroker::Name(grpc::ServerContext*, const v1::Request* request,                     \
                                    v1::Response* response) {                                             \
    if (!hook) return grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "the test did not expect this call"); \
    return hook(*request, response);                                                                      \
  }
BATON_SCRIPTED_CALL(Ack, AckRequest, SettleResponse, on_ack)
BATON_SCRIPTED_CALL(Nack, NackRequest, SettleResponse, on_nack)
BATON_SCRIPTED_CALL(Publish, PublishRequest, PublishResponse, on_publish)
BATON_SCRIPTED_CALL(Receive, ReceiveRequest, ReceiveResponse, on_receive)
BATON_SCRIPTED_CALL(GetQueue, GetQueueRequest, Queue, on_get_queue)
#undef BATON_SCRIPTED_CALL

grpc::Status ScriptedBroker::GetStatus(grpc::ServerContext*, const v1::GetStatusRequest*,
                                       v1::BrokerStatus* response) {
  response->set_version("scripted");
  return grpc::Status::OK;
}

}  // namespace baton

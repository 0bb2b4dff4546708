#include "client/session/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "client/session/convert.h"

namespace baton::client {
namespace {

using std::chrono::steady_clock;

constexpr uint32_t kProtocolVersion = 1;
constexpr std::chrono::seconds kHelloTimeout{10};
// For the frame that is on its way, the goodbye after it, and the broker's end. Without it the end of the
// connection gives the leases back just as well.
constexpr std::chrono::milliseconds kGoodbyeTimeout{80};
constexpr std::chrono::seconds kLateSettlementsFirst{2};
// A connection that lived shorter does not count as a success: the pauses go on growing.
constexpr std::chrono::seconds kStableAfter{5};

// Connecting again would meet the same error.
bool IsPermanent(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kOutOfRange:
      return true;
    default:
      return false;
  }
}

absl::Status Violation(std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason::kProtocolViolation,
                   fmt::format("{}; is it a broker of another version?", what));
}

}  // namespace

Session::Session(SessionOptions options, std::unique_ptr<Transport> transport, LateSettler::Calls late_calls)
    : options_(std::move(options)),
      transport_(std::move(transport)),
      late_settler_(
          std::move(late_calls),
          [this](std::vector<Settlements::Answer> answers) { TakeLateAnswers(std::move(answers)); }),
      outgoing_(transport_.get(), &window_, &settlements_, &subscriptions_),
      backoff_(options_.reconnect_pause_max) {}

Session::~Session() {
  MutexLock lock(mutex_);
  BATON_CHECK(!thread_.joinable()) << "a session must be closed before it is destroyed";
}

void Session::Start() {
  MutexLock lock(mutex_);
  thread_ = std::thread([self = shared_from_this()] { self->Run(); });
}

// --- any thread ---

void Session::Settle(const Settlement& how, SettleEntry entry) {
  std::optional<SettleEntry> late = settlements_.Add(how, std::move(entry));
  if (!late.has_value()) return NotifyWork();
  SettleGroup group{.how = how, .entries = {}, .number = 0};
  group.entries.push_back(*std::move(late));
  late_settler_.Add(std::move(group));
}

void Session::Subscribe(std::shared_ptr<ConsumerCore> consumer) {
  absl::Status failed;
  {
    MutexLock lock(mutex_);
    failed = failed_;
  }
  if (!failed.ok()) return consumer->OnEnded(failed);
  subscriptions_.Add(std::move(consumer));
  transport_->Wake();
}

void Session::Unsubscribe(uint64_t subscription) {
  subscriptions_.End(subscription);
  transport_->Wake();
}

absl::Status Session::WaitUntilUp(SteadyTime deadline) {
  MutexLock lock(mutex_);
  bool in_time = true;
  while (in_time && failed_.ok() && published_link_ != Link::kUp)
    in_time = link_changed_.WaitUntil(mutex_, deadline);
  if (!failed_.ok()) return failed_;
  if (published_link_ == Link::kUp) return absl::OkStatus();
  if (!last_error_.ok()) return last_error_;
  return MakeError(absl::StatusCode::kUnavailable, reason::kBrokerUnreachable,
                   fmt::format("no answer from the broker at {}", options_.url));
}

void Session::Close(const absl::Status& error) {
  std::thread thread;
  {
    MutexLock lock(mutex_);
    close_requested_ = true;
    if (failed_.ok()) failed_ = error;
    thread.swap(thread_);
  }
  transport_->Wake();
  if (thread.joinable() && OnOwnThread()) {
    // allowed: this is that thread, in a callback; it keeps this object, and ends by itself
    thread.detach();
  } else if (thread.joinable()) {
    thread.join();
  }
}

void Session::TakeLateAnswers(std::vector<Settlements::Answer> answers) {
  {
    MutexLock lock(mutex_);
    std::move(answers.begin(), answers.end(), std::back_inserter(late_answers_));
    if (!finished_) {
      transport_->Wake();
      return;
    }
  }
  RunLateAnswers();  // the thread that should run them is gone
}

std::string Session::Describe() {
  constexpr const char* kLinks[] = {"down", "opening", "up", "closing"};
  std::string text = fmt::format("session with {}: link {}, turn {}", options_.url,
                                 kLinks[static_cast<size_t>(link_.load())], turns_.load());
  {
    MutexLock lock(mutex_);
    if (!last_error_.ok()) text += "; last error: " + last_error_.ToString();
    if (!failed_.ok()) text += "; failed: " + failed_.ToString();
    if (close_requested_) text += "; closing";
    if (finished_) text += "; its thread has ended";
  }
  for (const std::string& part :
       {outgoing_.Describe(), window_.Describe(), settlements_.Describe(), late_settler_.Describe()})
    text += "\n  " + part;
  for (const auto& consumer : subscriptions_.All()) text += "\n  " + consumer->Describe();
  return text + "\n";
}

// --- session's thread ---

void Session::Run() {
  thread_id_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  while (RunTurn()) {
  }
  absl::Status error;
  {
    MutexLock lock(mutex_);
    error = failed_;
  }
  Fail(error);
  subscriptions_.Clear();
  late_settler_.Stop(error);
  {
    MutexLock lock(mutex_);
    finished_ = true;
  }
  RunLateAnswers();
}

bool Session::RunTurn() {
  turns_.fetch_add(1, std::memory_order_relaxed);
  const SteadyTime now = steady_clock::now();
  bool close_requested = false;
  {
    MutexLock lock(mutex_);
    close_requested = close_requested_;
  }
  if (close_requested && !BeginClosing(now)) return false;
  RunLateAnswers();
  if (now >= Deadline(now)) OnDeadline();
  if (link_ != Link::kUp && link_ != Link::kClosing) subscriptions_.EndUnconnected();
  if (link_ == Link::kOpening && !hello_sent_ && transport_->CanWrite()) SendHello(now);
  bool more = false;
  if (link_ == Link::kUp && transport_->CanWrite()) {
    more = outgoing_.SendWhatWaits(now, now >= subscribe_at_latest_ || late_settler_.idle());
  }
  const Transport::Event event = transport_->Next(more ? now : Deadline(now));
  outgoing_.Awake();
  if (event == Transport::Event::kFrame) HandleFrame(transport_->frame());
  if (event == Transport::Event::kClosed) HandleClosed();
  return true;
}

SteadyTime Session::Deadline(SteadyTime now) {
  if (link_ != Link::kUp) return deadline_;
  SteadyTime next = subscriptions_.RenewLeases(now);
  if (deadline_ != SteadyTime{}) next = std::min(next, deadline_);  // of a goodbye that waits
  return now < subscribe_at_latest_ ? std::min(next, subscribe_at_latest_) : next;
}

void Session::OnDeadline() {
  if (link_ == Link::kDown) return Connect();
  if (link_ == Link::kUp) return;  // leases were renewed; or it is time to subscribe
  if (link_ == Link::kOpening) {
    Drop(MakeError(absl::StatusCode::kDeadlineExceeded, reason::kBrokerUnreachable,
                   fmt::format("the broker at {} has not answered the hello within {} s", options_.url,
                               kHelloTimeout.count())));
  }
  transport_->Close();
  deadline_ = SteadyTime::max();  // the end of the connection follows
}

void Session::Connect() {
  link_ = Link::kOpening;
  hello_sent_ = false;
  drop_reason_ = absl::OkStatus();
  retry_after_ = std::chrono::milliseconds(0);
  deadline_ = SteadyTime::max();  // the transport tries until it succeeds
  transport_->Open();
}

bool Session::BeginClosing(SteadyTime now) {
  switch (link_.load()) {
    case Link::kDown:
      return false;
    case Link::kClosing:
      return true;
    case Link::kOpening:
      transport_->Close();
      link_ = Link::kClosing;
      deadline_ = SteadyTime::max();
      return true;
    case Link::kUp:
      outgoing_.SetUp(false);
      if (deadline_ == SteadyTime{}) deadline_ = now + kGoodbyeTimeout;
      if (!outgoing_.Say([](v1::ClientFrame& frame) { frame.mutable_goodbye(); })) {
        if (now < deadline_) return true;  // after the frame that is on its way
        transport_->Close();
      }
      link_ = Link::kClosing;
      return true;
  }
  return false;
}

void Session::SendHello(SteadyTime now) {
  hello_sent_ = outgoing_.Say([this](v1::ClientFrame& frame) {
    v1::Hello& hello = *frame.mutable_hello();
    hello.set_protocol_version(kProtocolVersion);
    hello.set_client_name(options_.client_name);
    hello.set_producer_id(options_.producer_id);
  });
  deadline_ = now + kHelloTimeout;
}

void Session::HandleFrame(v1::ServerFrame& frame) {
  if (!drop_reason_.ok()) return;  // the connection is given up already
  absl::Status status;
  if (frame.has_hello() || link_ == Link::kOpening) status = HandleHello(frame);
  if (status.ok()) status = HandleContents(frame);
  if (!status.ok()) Drop(std::move(status));
}

absl::Status Session::HandleHello(const v1::ServerFrame& frame) {
  if (!frame.has_hello())
    return frame.has_go_away() ? absl::OkStatus() : Violation("the broker did not answer the hello");
  if (link_ != Link::kOpening) return Violation("the broker sent a second hello");
  const v1::HelloReply& hello = frame.hello();
  if (hello.protocol_version() != kProtocolVersion) {
    return Violation(fmt::format("the broker speaks version {} of the protocol, and this client version {}",
                                 hello.protocol_version(), kProtocolVersion));
  }
  const SteadyTime now = steady_clock::now();
  ++connection_;
  epoch_ = Epoch(hello.epoch());
  up_since_ = now;
  deadline_ = SteadyTime{};
  link_ = Link::kUp;
  late_settler_.SetConnected(true);
  subscribe_at_latest_ = now + kLateSettlementsFirst;
  settlements_.OnConnected(connection_);
  window_.OnConnected({.credit_messages = hello.publish_credit().messages(),
                       .credit_bytes = hello.publish_credit().bytes(),
                       .body_bytes_max = hello.body_bytes_max(),
                       .header_bytes_max = hello.header_bytes_max(),
                       .batch_messages_max = std::max(1u, hello.batch_messages_max())});
  outgoing_.SetUp(true);
  Publish(Link::kUp, absl::OkStatus());
  if (options_.on_connection) options_.on_connection(ConnectionState::kConnected, absl::OkStatus());
  return absl::OkStatus();
}

absl::Status Session::HandleContents(v1::ServerFrame& frame) {
  absl::Status status;
  for (const v1::Subscribed& subscribed : frame.subscribed()) subscriptions_.OnSubscribed(subscribed);
  for (const v1::Confirm& confirm : frame.confirms()) status.Update(window_.OnConfirm(confirm));
  HandleSettled(frame, status);
  for (v1::Deliveries& deliveries : *frame.mutable_deliveries()) {
    status.Update(subscriptions_.OnDeliveries(deliveries, connection_, epoch_));
  }
  for (const v1::SubscriptionEnded& ended : frame.ended()) subscriptions_.OnEnded(ended);
  if (frame.has_publish_credit()) {
    window_.SetCredit(frame.publish_credit().messages(), frame.publish_credit().bytes());
  }
  if (frame.has_go_away()) {
    const v1::GoAway& go_away = frame.go_away();
    retry_after_ =
        std::chrono::milliseconds(static_cast<int64_t>(std::min<uint64_t>(go_away.retry_after_ms(), 60'000)));
    status.Update(go_away.has_error() ? FromProto(go_away.error())
                                      : MakeError(absl::StatusCode::kUnavailable, reason::kBrokerStopping,
                                                  "the broker ended the session"));
  }
  return status;
}

void Session::HandleSettled(const v1::ServerFrame& frame, absl::Status& status) {
  if (frame.settled().empty()) return;
  answers_.clear();
  for (const v1::SettleReply& reply : frame.settled()) status.Update(settlements_.OnReply(reply, answers_));
  RunAnswers(answers_);
}

void Session::RunLateAnswers() {
  std::vector<Settlements::Answer> answers;
  {
    MutexLock lock(mutex_);
    answers.swap(late_answers_);
  }
  RunAnswers(answers);
}

void Session::RunAnswers(std::vector<Settlements::Answer>& answers) {
  for (Settlements::Answer& answer : answers) answer.entry.chunk->consumer().OnAnswered(answer);
  answers.clear();
}

void Session::Drop(absl::Status why) {
  if (drop_reason_.ok()) drop_reason_ = std::move(why);
  transport_->Close();
}

void Session::HandleClosed() {
  const SteadyTime now = steady_clock::now();
  const absl::Status why = !drop_reason_.ok() ? drop_reason_ : transport_->close_status();
  const bool was_up = link_ == Link::kUp || link_ == Link::kClosing;
  const bool closing = link_ == Link::kClosing;
  outgoing_.SetUp(false);
  if (link_ == Link::kUp && now - up_since_ >= kStableAfter) backoff_.Reset();
  link_ = Link::kDown;
  late_settler_.SetConnected(false);
  window_.OnDisconnected();
  for (SettleGroup& group : settlements_.OnDisconnected()) late_settler_.Add(std::move(group));
  subscriptions_.OnDisconnected();
  deadline_ = now + std::max(backoff_.Next(), retry_after_);
  if (closing) return;
  if (!why.ok() && IsPermanent(why)) {
    deadline_ = SteadyTime::max();
    Fail(why);
  } else {
    Publish(Link::kDown, why.ok() ? MakeError(absl::StatusCode::kUnavailable, reason::kBrokerUnreachable,
                                              "the broker ended the connection")
                                  : why);
  }
  if (was_up && options_.on_connection) options_.on_connection(ConnectionState::kLost, why);
}

void Session::Publish(Link link, const absl::Status& error) {
  MutexLock lock(mutex_);
  published_link_ = link;
  last_error_ = error;
  link_changed_.NotifyAll();
}

void Session::Fail(const absl::Status& error) {
  {
    MutexLock lock(mutex_);
    if (failed_.ok()) failed_ = error;
    published_link_ = Link::kDown;
    link_changed_.NotifyAll();
  }
  window_.Fail(error);
  subscriptions_.Fail(error);
}

}  // namespace baton::client

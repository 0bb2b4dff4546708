#include "tests/stress/witness.h"

#include <fmt/format.h>

#include <deque>
#include <future>
#include <utility>

#include "base/check.h"

namespace baton {
namespace {

constexpr std::chrono::seconds kPatience{20};
constexpr size_t kUnconfirmedMax = 8;
constexpr size_t kComplaintsMax = 20;

template <class T>
T Must(absl::StatusOr<T> made) {
  BATON_CHECK(made.ok()) << made.status();
  return *std::move(made);
}

}  // namespace

Witness::Witness(const std::string& url, std::string queue) : queue_(std::move(queue)) {
  ClientOptions options;
  options.url = url;
  options.name = "witness";
  options.on_connection = [this](ConnectionState state, const absl::Status& why) {
    if (state == ConnectionState::kLost && !stop_) Complain("the connection was lost: " + why.ToString());
  };
  client_.emplace(Must(Client::Connect(std::move(options))));
  producer_.emplace(Must(client_->NewProducer()));
  ConsumerOptions consumer;
  consumer.queue = queue_;
  consumer.credit = 16;
  consumer.on_refused = [this](const std::string& id, const absl::Status& status) {
    Complain(fmt::format("the ack of {} was refused: {}", id, status.ToString()));
  };
  consumer_.emplace(Must(
      client_->Subscribe(std::move(consumer), [this](Delivery& delivery) { return OnDelivery(delivery); })));
  publisher_ = std::thread([this] { PublishOn(); });
}

Witness::~Witness() {
  stop_ = true;
  if (publisher_.joinable()) publisher_.join();
}

void Witness::PublishOn() {
  std::deque<std::future<absl::StatusOr<Confirmation>>> unconfirmed;
  const auto take_one = [&] {
    const auto answer = unconfirmed.front().get();
    unconfirmed.pop_front();
    if (!answer.ok()) Complain("a publish was refused: " + answer.status().ToString());
    if (answer.ok() && answer->duplicate) Complain("a publish was a duplicate");
  };
  while (!stop_) {
    client_api::Message message;
    message.body = std::to_string(++published_);
    unconfirmed.push_back(producer_->Publish(queue_, message));
    if (unconfirmed.size() >= kUnconfirmedMax) take_one();
  }
  while (!unconfirmed.empty()) take_one();
}

Outcome Witness::OnDelivery(const Delivery& delivery) {
  uint64_t expected = 0;
  {
    std::lock_guard lock(mutex_);
    expected = ++consumed_;
  }
  if (delivery.body() != std::to_string(expected)) {
    Complain(fmt::format("message {} came where {} was expected", delivery.body(), expected));
  }
  if (delivery.redelivered()) Complain(fmt::format("message {} came again", delivery.body()));
  moved_.notify_all();
  return Outcome::Ack();
}

void Witness::Complain(const std::string& complaint) {
  std::lock_guard lock(mutex_);
  if (complaints_.size() < kComplaintsMax) complaints_.push_back(complaint);
}

bool Witness::SeesLife() {
  const uint64_t target = published_ + 1;
  std::unique_lock lock(mutex_);
  return moved_.wait_for(lock, kPatience, [&] { return consumed_ >= target; });
}

std::vector<std::string> Witness::Finish() {
  stop_ = true;
  publisher_.join();
  {
    std::unique_lock lock(mutex_);
    moved_.wait_for(lock, kPatience, [&] { return consumed_ >= published_; });
  }
  const absl::Status stopped = consumer_->Stop(kPatience);
  if (!stopped.ok()) Complain("the consumer did not stop: " + stopped.ToString());
  const auto queue = client_->GetQueue(queue_);
  if (!queue.ok()) {
    Complain(queue.status().ToString());
  } else if (queue->counts.ready + queue->counts.leased + queue->counts.delayed + queue->counts.parked != 0) {
    Complain("not everything was consumed and acked");
  }
  const absl::Status closed = client_->Close();
  if (!closed.ok()) Complain("the client did not close: " + closed.ToString());
  std::lock_guard lock(mutex_);
  if (consumed_ != published_) {
    complaints_.push_back(fmt::format("{} published, {} delivered", published_.load(), consumed_));
  }
  return complaints_;
}

}  // namespace baton

#include "baton/client.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "base/limits.h"
#include "client/client_core.h"
#include "client/producer_core.h"
#include "client/session/consumer_core.h"

namespace baton {
inline namespace client_api {

Client::Client(std::shared_ptr<client::ClientCore> core) : core_(std::move(core)) {}
Client::Client(Client&&) noexcept = default;

Client& Client::operator=(Client&& other) noexcept {
  std::swap(core_, other.core_);  // the old one is closed when `other` goes
  return *this;
}

Client::~Client() {
  if (core_ == nullptr) return;
  if (core_->fork_guard().InChild()) {
    // The threads and locks of the parent are not here: whatever this would wait for never comes.
    new std::shared_ptr<client::ClientCore>(std::move(core_));
    return;
  }
  Close().IgnoreError();
}

absl::StatusOr<Client> Client::Connect(ClientOptions options) {
  auto core = client::ClientCore::Connect(std::move(options));
  if (!core.ok()) return core.status();
  return Client(*std::move(core));
}

absl::Status Client::Close() {
  if (absl::Status forked = core_->fork_guard().Check(); !forked.ok()) return forked;
  return core_->Close();
}

std::string Client::Describe() const { return core_->DescribeSession(); }

const std::string& Client::url() const { return core_->url(); }

absl::StatusOr<Producer> Client::NewProducer(ProducerOptions options) {
  auto session = core_->OpenSession();
  if (!session.ok()) return session.status();
  return Producer(std::make_unique<client::ProducerCore>(
      client::ProducerCore{.options = options,
                           .session = *std::move(session),
                           .state = std::make_shared<client::ProducerState>()}));
}

absl::StatusOr<Consumer> Client::Subscribe(ConsumerOptions options, Handler handler) {
  const bool has_handler = handler != nullptr;
  if (absl::Status valid = client::CheckConsumerOptions(options, has_handler); !valid.ok()) return valid;
  auto session = core_->OpenSession();
  if (!session.ok()) return session.status();
  const uint64_t id = (*session)->NewSubscriptionId();
  Consumer consumer(
      std::make_shared<client::ConsumerCore>(std::move(options), std::move(handler), id, *session));
  (*session)->Subscribe(consumer.core_);
  const auto deadline = client::DeadlineAfter(core_->options().call_timeout);
  if (absl::Status active = consumer.core_->WaitUntilActive(deadline); !active.ok()) return active;
  if (has_handler) consumer.core_->StartHandlers();
  return consumer;
}

}  // namespace client_api
}  // namespace baton

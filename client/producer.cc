#include "baton/producer.h"

#include <future>
#include <utility>

#include "client/producer_core.h"
#include "client/session/headers.h"

namespace baton {

namespace client {

absl::Status ProducerCore::Publish(std::string_view queue, const Message& message, PublishCallback& done,
                                   std::chrono::milliseconds room_timeout) {
  if (absl::Status forked = session->fork_guard().Check(); !forked.ok()) return forked;
  PublishWindow::Envelope to{.queue = queue, .headers = {}, .want_ids = options.want_ids, .producer = state};
  if (message.headers.empty()) {
    if (absl::Status added = session->window().Add(to, message, done, room_timeout); !added.ok())
      return added;
  } else {
    const absl::StatusOr<std::string> headers = EncodeHeaders(message.headers);
    if (!headers.ok()) return headers.status();
    to.headers = *headers;
    if (absl::Status added = session->window().Add(to, message, done, room_timeout); !added.ok())
      return added;
  }
  session->NotifyWork();
  return absl::OkStatus();
}

}  // namespace client

inline namespace client_api {
namespace {

constexpr std::chrono::milliseconds kAtOnce{0};

}  // namespace

Producer::Producer(std::unique_ptr<client::ProducerCore> core) : core_(std::move(core)) {}
Producer::Producer(Producer&&) noexcept = default;
Producer& Producer::operator=(Producer&&) noexcept = default;

Producer::~Producer() {
  // In a forked child even the memory is left alone: a thread of the parent may have held a lock in it.
  if (core_ != nullptr && core_->session->fork_guard().InChild()) core_.release();
}

std::future<absl::StatusOr<Confirmation>> Producer::Publish(std::string_view queue, const Message& message) {
  std::promise<absl::StatusOr<Confirmation>> promise;
  std::future<absl::StatusOr<Confirmation>> future = promise.get_future();
  Publish(queue, message, [promise = std::move(promise)](const absl::StatusOr<Confirmation>& answer) mutable {
    promise.set_value(answer);
  });
  return future;
}

void Producer::Publish(std::string_view queue, const Message& message, PublishCallback done) {
  // On the client's own thread nothing may wait for room: it is this thread that makes it.
  const bool may_wait = !core_->session->OnOwnThread();
  const absl::Status added =
      core_->Publish(queue, message, done, may_wait ? core_->options.room_timeout : kAtOnce);
  if (!added.ok() && done) std::move(done)(added);
}

absl::Status Producer::TryPublish(std::string_view queue, const Message& message, PublishCallback done) {
  return core_->Publish(queue, message, done, kAtOnce);
}

std::vector<absl::StatusOr<Confirmation>> Producer::PublishBatch(std::string_view queue,
                                                                 std::span<const Message> messages) {
  std::vector<std::future<absl::StatusOr<Confirmation>>> futures;
  futures.reserve(messages.size());
  for (const Message& message : messages) futures.push_back(Publish(queue, message));
  std::vector<absl::StatusOr<Confirmation>> answers;
  answers.reserve(messages.size());
  for (auto& future : futures) answers.push_back(future.get());
  return answers;
}

absl::Status Producer::Flush(std::chrono::milliseconds timeout) {
  if (absl::Status forked = core_->session->fork_guard().Check(); !forked.ok()) return forked;
  return core_->session->window().Flush(core_->state, client::DeadlineAfter(timeout));
}

ProducerCounters Producer::counters() const {
  if (core_->session->fork_guard().InChild()) return {};  // a lock of the parent may be held for ever
  return core_->session->window().CountersOf(*core_->state);
}

}  // namespace client_api
}  // namespace baton

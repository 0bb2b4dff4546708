// The same answers for C++20 coroutines:
//
//   auto stored = co_await baton::PublishAwaitable(producer, "orders", message);  // StatusOr<Confirmation>
//   absl::Status acked = co_await baton::AckAwaitable(delivery);
//
// TRAP: give the message a name, as above. g++ 12 copies an aggregate written with braces inside a co_await
// expression byte by byte, strings included, and the program crashes; clang 14 does it right.
//
// THREADS: the coroutine goes on on the client's own thread, or at once on the caller's when there was
// nothing to send. So, as in a callback, it must be quick and must not wait for anything of this client until
// it is elsewhere.
#pragma once

#include <coroutine>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "baton/delivery.h"
#include "baton/message.h"
#include "baton/producer.h"

namespace baton {
inline namespace client_api {

// OWNERSHIP: `producer` must outlive the wait. BLOCKS, before it suspends, while there is no room
// (baton/producer.h).
class PublishAwaitable {
 public:
  PublishAwaitable(Producer& producer, std::string queue, Message message)
      : producer_(producer), queue_(std::move(queue)), message_(std::move(message)) {}
  PublishAwaitable(const PublishAwaitable&) = delete;
  PublishAwaitable& operator=(const PublishAwaitable&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    // The answer may resume, and end, the coroutine before this returns: nothing of it is touched afterwards.
    producer_.Publish(queue_, message_, [this, waiting](const absl::StatusOr<Confirmation>& answer) {
      answer_ = answer;
      waiting.resume();
    });
  }
  absl::StatusOr<Confirmation> await_resume() { return std::move(answer_); }

 private:
  Producer& producer_;
  const std::string queue_;
  const Message message_;
  absl::StatusOr<Confirmation> answer_ = absl::UnknownError("not answered");
};

// OK: the ack is as durable as the queue. OWNERSHIP: `delivery` must outlive the wait.
class AckAwaitable {
 public:
  explicit AckAwaitable(Delivery& delivery) : delivery_(delivery) {}
  AckAwaitable(const AckAwaitable&) = delete;
  AckAwaitable& operator=(const AckAwaitable&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    delivery_.Ack([this, waiting](const absl::Status& status) {
      status_ = status;
      waiting.resume();
    });
  }
  absl::Status await_resume() { return std::move(status_); }

 private:
  Delivery& delivery_;
  absl::Status status_;
};

}  // namespace client_api
}  // namespace baton

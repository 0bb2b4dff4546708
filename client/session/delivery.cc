#include "baton/delivery.h"

#include <utility>

#include "base/error.h"
#include "client/session/consumer_core.h"
#include "client/session/delivery_chunk.h"
#include "client/session/headers.h"

namespace baton {
inline namespace client_api {
namespace {

absl::Status AlreadySettled() {
  return MakeError(absl::StatusCode::kFailedPrecondition, reason::kAlreadySettled,
                   "the delivery is settled already");
}

}  // namespace

Delivery::Delivery(std::shared_ptr<client::DeliveryChunk> chunk, uint32_t index)
    : chunk_(std::move(chunk)), index_(index) {}

Delivery::~Delivery() {
  if (chunk_ != nullptr && !settled_) Release();
}

Delivery::Delivery(Delivery&& other) noexcept
    : chunk_(std::move(other.chunk_)), index_(other.index_), settled_(other.settled_) {}

Delivery& Delivery::operator=(Delivery&& other) noexcept {
  if (this == &other) return *this;
  if (chunk_ != nullptr && !settled_) Release();
  chunk_ = std::move(other.chunk_);
  index_ = other.index_;
  settled_ = other.settled_;
  return *this;
}

std::string_view Delivery::queue() const { return chunk_->consumer().options().queue; }
std::string_view Delivery::body() const { return chunk_->body(index_); }
std::string Delivery::message_id() const { return chunk_->message_id(index_).ToText(); }
uint32_t Delivery::priority() const { return chunk_->priority(index_); }
uint32_t Delivery::attempt() const { return chunk_->attempt(index_); }
bool Delivery::redelivered() const { return chunk_->redelivered(index_); }
Headers Delivery::headers() const { return client::DecodeHeaders(chunk_->headers(index_)); }
uint64_t Delivery::producer_id() const { return chunk_->producer_id(index_); }
uint64_t Delivery::sequence() const { return chunk_->sequence(index_); }
std::string Delivery::token() const { return chunk_->token(index_).ToText(); }

std::chrono::system_clock::time_point Delivery::published_at() const {
  return std::chrono::system_clock::time_point(std::chrono::milliseconds(chunk_->published_unix_ms(index_)));
}

void Delivery::Settle(const client::Settlement& how, SettleCallback done) {
  if (settled_) {
    if (done) std::move(done)(AlreadySettled());
    return;
  }
  settled_ = how.kind != v1::Settle::EXTEND;
  chunk_->consumer().Settle(chunk_, index_, how, std::move(done));
}

void Delivery::Ack(SettleCallback done) { Settle({.kind = v1::Settle::ACK}, std::move(done)); }

void Delivery::Nack(NackOptions options, SettleCallback done) {
  Settle({.kind = v1::Settle::NACK,
          .delay_set = options.delay.has_value(),
          .delay = options.delay.value_or(std::chrono::milliseconds(0)),
          .reason = std::move(options.reason)},
         std::move(done));
}

void Delivery::Release(SettleCallback done) { Settle({.kind = v1::Settle::RELEASE}, std::move(done)); }

void Delivery::DeadLetter(std::string reason, SettleCallback done) {
  Settle({.kind = v1::Settle::DEAD_LETTER, .reason = std::move(reason)}, std::move(done));
}

void Delivery::Extend(std::chrono::milliseconds lease, SettleCallback done) {
  Settle({.kind = v1::Settle::EXTEND, .lease = lease}, std::move(done));
}

}  // namespace client_api
}  // namespace baton

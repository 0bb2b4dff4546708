#include "server/grpc/answer_charge.h"

#include <type_traits>
#include <variant>

#include "base/error.h"

namespace baton {
namespace {

// Answers of this size are always made: as many as there are calls.
constexpr size_t kSmallAnswerBytes = 4u << 10;
constexpr size_t kListedBytes = 256;  // about what is around each thing that is listed

size_t BytesOf(const MessageInfo& info) { return kListedBytes + info.headers.size() + info.body.size(); }
size_t BytesOf(const ReceivedMessage& message) {
  return kListedBytes + message.headers.size() + message.body.size();
}

template <class Things>
size_t BytesOfAll(const Things& things) {
  size_t bytes = 0;
  for (const auto& thing : things) bytes += BytesOf(thing);
  return bytes;
}

size_t BytesOf(const Reply& reply) {
  if (const auto* info = std::get_if<MessageInfo>(&reply)) return BytesOf(*info);
  if (const auto* page = std::get_if<MessagePage>(&reply)) return BytesOfAll(page->messages);
  if (const auto* received = std::get_if<ReceiveReply>(&reply)) return BytesOfAll(received->messages);
  if (const auto* list = std::get_if<QueueList>(&reply)) return 2 * kListedBytes * list->queues.size();
  if (const auto* status = std::get_if<EngineStatus>(&reply))
    return kListedBytes * status->session_list.size();
  if (const auto* published = std::get_if<PublishReply>(&reply))
    return kListedBytes / 4 * published->results.size();
  return 0;
}

}  // namespace

AnswerCharge::AnswerCharge(SessionOutbox::Total* total, const Reply& reply)
    : total_(total), bytes_(BytesOf(reply)) {
  const size_t others = total_->bytes.fetch_add(bytes_, std::memory_order_relaxed);
  over_ = bytes_ > kSmallAnswerBytes && others > 0 && others + bytes_ > total_->bytes_max;
}

AnswerCharge& AnswerCharge::operator=(AnswerCharge&& other) noexcept {
  std::swap(total_, other.total_);
  std::swap(bytes_, other.bytes_);
  std::swap(over_, other.over_);
  return *this;
}

AnswerCharge::~AnswerCharge() { Release(); }

void AnswerCharge::Release() {
  if (total_ != nullptr) total_->bytes.fetch_sub(std::exchange(bytes_, 0), std::memory_order_relaxed);
}

absl::Status AnswerCharge::NoRoom() {
  return MakeError(
      absl::StatusCode::kResourceExhausted, reason::kBrokerBusy,
      "answers that their clients have not taken yet fill the memory that answers may have: try again "
      "shortly, or ask for less at once");
}

}  // namespace baton

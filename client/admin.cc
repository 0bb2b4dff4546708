// Client's administrative calls.
#include <utility>

#include "baton/client.h"
#include "client/client_core.h"
#include "client/session/convert.h"

namespace baton {
inline namespace client_api {
namespace {

using client::FromProto;
using Admin = v1::Admin::Stub;

absl::StatusOr<QueueInfo> QueueOf(const absl::StatusOr<v1::Queue>& queue) {
  if (!queue.ok()) return queue.status();
  return FromProto(*queue);
}

v1::UpdateQueueRequest PauseRequest(std::string_view name, bool paused) {
  v1::UpdateQueueRequest request;
  request.set_name(name.data(), name.size());
  request.set_paused(paused);
  return request;
}

}  // namespace

absl::StatusOr<QueueInfo> Client::CreateQueue(std::string_view name, const QueueConfig& config) {
  v1::CreateQueueRequest request;
  request.set_name(name.data(), name.size());
  if (absl::Status valid = client::ToProto(config, *request.mutable_config()); !valid.ok()) return valid;
  return QueueOf(core_->Call(&Admin::CreateQueue, request));
}

absl::StatusOr<QueueInfo> Client::UpdateQueue(std::string_view name, const QueueConfig& config) {
  v1::UpdateQueueRequest request;
  request.set_name(name.data(), name.size());
  if (absl::Status valid = client::ToProto(config, *request.mutable_config()); !valid.ok()) return valid;
  return QueueOf(core_->Call(&Admin::UpdateQueue, request));
}

absl::StatusOr<QueueInfo> Client::GetQueue(std::string_view name) {
  v1::GetQueueRequest request;
  request.set_name(name.data(), name.size());
  return QueueOf(core_->Call(&Admin::GetQueue, request));
}

absl::StatusOr<std::vector<QueueInfo>> Client::ListQueues(std::string_view prefix) {
  std::vector<QueueInfo> queues;
  v1::ListQueuesRequest request;
  request.set_prefix(prefix.data(), prefix.size());
  do {
    const auto page = core_->Call(&Admin::ListQueues, request);
    if (!page.ok()) return page.status();
    for (const v1::Queue& queue : page->queues()) queues.push_back(FromProto(queue));
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return queues;
}

absl::StatusOr<uint64_t> Client::DeleteQueue(std::string_view name, DeleteMode mode) {
  v1::DeleteQueueRequest request;
  request.set_name(name.data(), name.size());
  request.set_only_if_empty(mode == DeleteMode::kOnlyIfEmpty);
  const auto response = core_->Call(&Admin::DeleteQueue, request);
  if (!response.ok()) return response.status();
  return response->messages();
}

absl::StatusOr<uint64_t> Client::PurgeQueue(std::string_view name) {
  v1::PurgeQueueRequest request;
  request.set_name(name.data(), name.size());
  const auto response = core_->Call(&Admin::PurgeQueue, request);
  if (!response.ok()) return response.status();
  return response->messages();
}

absl::StatusOr<QueueInfo> Client::PauseQueue(std::string_view name) {
  return QueueOf(core_->Call(&Admin::UpdateQueue, PauseRequest(name, true)));
}

absl::StatusOr<QueueInfo> Client::ResumeQueue(std::string_view name) {
  return QueueOf(core_->Call(&Admin::UpdateQueue, PauseRequest(name, false)));
}

absl::StatusOr<QueueInfo> Client::SkipDamage(std::string_view name) {
  v1::UpdateQueueRequest request;
  request.set_name(name.data(), name.size());
  request.set_skip_damage(true);
  return QueueOf(core_->Call(&Admin::UpdateQueue, request));
}

absl::StatusOr<MessagePage> Client::ListMessages(const ListMessagesOptions& options) {
  v1::ListMessagesRequest request;
  request.set_queue(options.queue);
  request.set_state(client::ToProto(options.state));
  request.set_page_size(options.page_size);
  request.set_page_token(options.page_token);
  request.set_body_bytes_max(options.body_bytes_max);
  const auto response = core_->Call(&Admin::ListMessages, request);
  if (!response.ok()) return response.status();
  MessagePage page{.messages = {}, .next_page_token = response->next_page_token()};
  for (const v1::Message& message : response->messages()) page.messages.push_back(FromProto(message));
  return page;
}

absl::StatusOr<MessageInfo> Client::GetMessage(std::string_view message_id) {
  v1::GetMessageRequest request;
  request.set_message_id(message_id.data(), message_id.size());
  const auto response = core_->Call(&Admin::GetMessage, request);
  if (!response.ok()) return response.status();
  return FromProto(*response);
}

absl::Status Client::DeleteMessage(std::string_view message_id) {
  v1::DeleteMessageRequest request;
  request.set_message_id(message_id.data(), message_id.size());
  return core_->Call(&Admin::DeleteMessage, request).status();
}

absl::StatusOr<BrokerStatus> Client::Status() {
  const auto response = core_->Call(&Admin::GetStatus, v1::GetStatusRequest());
  if (!response.ok()) return response.status();
  return FromProto(*response);
}

}  // namespace client_api
}  // namespace baton

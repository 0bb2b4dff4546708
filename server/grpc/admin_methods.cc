#include "server/grpc/admin_methods.h"

#include <fmt/format.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/queue_name.h"
#include "server/session/queue_wire.h"

namespace baton {
namespace {

constexpr uint32_t kQueuePageDefault = 1'000;
constexpr uint32_t kQueuePageMax = 10'000;
constexpr uint32_t kMessagePageDefault = 100;
constexpr uint32_t kMessagePageMax = 1'000;
constexpr uint64_t kListedBodyDefault = 256;

absl::Status CheckPageSize(uint32_t size, uint32_t max) {
  if (size <= max) return absl::OkStatus();
  return InvalidArgument(reason::kOutOfRange,
                         fmt::format("page_size is {}; at most {} are allowed", size, max));
}

// Page tokens of messages are row keys: bytes, sent as hexadecimal text.
std::string ToHex(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  return text;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// nullopt: an empty text, for the first page.
absl::StatusOr<std::optional<MessageKeyParts>> ReadMessagePageToken(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::string bytes;
  bool good = text.size() % 2 == 0;
  for (size_t i = 0; good && i < text.size(); i += 2) {
    const int high = HexDigit(text[i]);
    const int low = HexDigit(text[i + 1]);
    good = high >= 0 && low >= 0;
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  const auto parts = good ? ParseMessageKey(bytes) : std::nullopt;
  if (parts.has_value()) return parts;
  return InvalidArgument(reason::kInvalidArgument,
                         "page_token is not one that an answer gave: leave it out to start again");
}

absl::StatusOr<MessageId> ReadMessageId(const std::string& text) {
  const auto id = MessageId::FromText(text);
  if (id.has_value()) return *id;
  return InvalidArgument(
      reason::kInvalidArgument,
      fmt::format("message_id (of {} bytes) is not a message id: one has {} characters of 0-9 a-v, "
                  "as an answer or a list gave it",
                  text.size(), MessageId::kTextLength));
}

absl::StatusOr<MessageState> ReadListedState(v1::MessageState state) {
  switch (state) {
    case v1::MESSAGE_STATE_UNSPECIFIED:
    case v1::READY:
      return MessageState::kReady;
    case v1::DELAYED:
      return MessageState::kDelayed;
    case v1::STATE_PARKED:
      return MessageState::kParked;
    default:
      return InvalidArgument(
          reason::kInvalidArgument,
          "state must be READY, DELAYED or STATE_PARKED; leased messages are listed among those, where they "
          "are stored");
  }
}

void FillMemoryQueues(const MemoryUse& use, v1::MemoryQueuesStatus* wire) {
  wire->set_shared_used_bytes(use.shared_bytes);
  wire->set_shared_limit_bytes(use.shared_bytes_max);
  wire->set_index_used_bytes(use.index_bytes);
  wire->set_index_limit_bytes(use.index_bytes_max);
  wire->set_nearest(static_cast<v1::MemoryBound>(use.nearest()));  // the numbers of the wire are ours
  wire->set_full(use.full());
}

}  // namespace

DecodedCall DecodeCreateQueue(const v1::CreateQueueRequest& request, CallId call) {
  if (absl::Status status = CheckQueueName(request.name()); !status.ok()) return status;
  auto config = ReadQueueConfig(request.config());
  if (!config.ok()) return config.status();
  return Command(CreateQueue{.call = call, .name = request.name(), .config = *std::move(config)});
}

DecodedCall DecodeUpdateQueue(const v1::UpdateQueueRequest& request, CallId call) {
  if (absl::Status status = CheckQueueName(request.name()); !status.ok()) return status;
  auto config = ReadQueueConfig(request.config());
  if (!config.ok()) return config.status();
  UpdateQueue command{.call = call, .name = request.name(), .config = *std::move(config), .paused = {}};
  if (request.has_paused()) command.paused = request.paused();
  if (request.has_skip_damage()) command.skip_damage = request.skip_damage();
  return Command(std::move(command));
}

DecodedCall DecodeDeleteQueue(const v1::DeleteQueueRequest& request, CallId call) {
  if (absl::Status status = CheckQueueName(request.name()); !status.ok()) return status;
  return Command(DeleteQueue{.call = call, .name = request.name(), .only_if_empty = request.only_if_empty()});
}

DecodedCall DecodeGetQueue(const v1::GetQueueRequest& request, CallId call) {
  if (absl::Status status = CheckQueueName(request.name()); !status.ok()) return status;
  return Command(GetQueue{.call = call, .name = request.name()});
}

DecodedCall DecodeListQueues(const v1::ListQueuesRequest& request, CallId call) {
  if (absl::Status status = CheckPageSize(request.page_size(), kQueuePageMax); !status.ok()) return status;
  return Command(ListQueues{.call = call,
                            .prefix = request.prefix(),
                            .after = request.page_token(),
                            .limit = request.page_size() == 0 ? kQueuePageDefault : request.page_size()});
}

DecodedCall DecodePurgeQueue(const v1::PurgeQueueRequest& request, CallId call) {
  if (absl::Status status = CheckQueueName(request.name()); !status.ok()) return status;
  return Command(PurgeQueue{.call = call, .name = request.name()});
}

DecodedCall DecodeListMessages(const v1::ListMessagesRequest& request, CallId call) {
  if (absl::Status status = CheckQueueName(request.queue()); !status.ok()) return status;
  if (absl::Status status = CheckPageSize(request.page_size(), kMessagePageMax); !status.ok()) return status;
  const auto state = ReadListedState(request.state());
  if (!state.ok()) return state.status();
  const auto after = ReadMessagePageToken(request.page_token());
  if (!after.ok()) return after.status();
  return Command(ListMessages{
      .call = call,
      .queue = request.queue(),
      .state = *state,
      .after = *after,
      .limit = request.page_size() == 0 ? kMessagePageDefault : request.page_size(),
      .body_bytes_max = request.body_bytes_max() == 0 ? kListedBodyDefault : request.body_bytes_max()});
}

DecodedCall DecodeGetMessage(const v1::GetMessageRequest& request, CallId call) {
  const auto id = ReadMessageId(request.message_id());
  if (!id.ok()) return id.status();
  return Command(GetMessage{.call = call, .id = *id});
}

DecodedCall DecodeDeleteMessage(const v1::DeleteMessageRequest& request, CallId call) {
  const auto id = ReadMessageId(request.message_id());
  if (!id.ok()) return id.status();
  return Command(DeleteMessage{.call = call, .id = *id});
}

DecodedCall DecodeGetStatus(const v1::GetStatusRequest& /*request*/, CallId call) {
  return Command(GetEngineStatus{.call = call});
}

absl::Status EncodeQueue(Reply& reply, const BrokerFacts& /*facts*/, v1::Queue* response) {
  FillQueue(std::get<QueueInfo>(reply), response);
  return absl::OkStatus();
}

absl::Status EncodeDeleteQueue(Reply& reply, const BrokerFacts& /*facts*/,
                               v1::DeleteQueueResponse* response) {
  response->set_messages(std::get<MessageCount>(reply).messages);
  return absl::OkStatus();
}

absl::Status EncodeListQueues(Reply& reply, const BrokerFacts& /*facts*/, v1::ListQueuesResponse* response) {
  const QueueList& list = std::get<QueueList>(reply);
  for (const QueueInfo& info : list.queues) FillQueue(info, response->add_queues());
  if (list.more && !list.queues.empty()) response->set_next_page_token(list.queues.back().name);
  return absl::OkStatus();
}

absl::Status EncodePurgeQueue(Reply& reply, const BrokerFacts& /*facts*/, v1::PurgeQueueResponse* response) {
  response->set_messages(std::get<MessageCount>(reply).messages);
  return absl::OkStatus();
}

absl::Status EncodeListMessages(Reply& reply, const BrokerFacts& /*facts*/,
                                v1::ListMessagesResponse* response) {
  MessagePage& page = std::get<MessagePage>(reply);
  for (MessageInfo& info : page.messages) FillMessage(info, response->add_messages());
  if (page.after.has_value()) response->set_next_page_token(ToHex(MessageKey(*page.after)));
  return absl::OkStatus();
}

absl::Status EncodeMessage(Reply& reply, const BrokerFacts& /*facts*/, v1::Message* response) {
  FillMessage(std::get<MessageInfo>(reply), response);
  return absl::OkStatus();
}

absl::Status EncodeDeleteMessage(Reply& /*reply*/, const BrokerFacts& /*facts*/,
                                 v1::DeleteMessageResponse* /*response*/) {
  return absl::OkStatus();
}

absl::Status EncodeStatus(Reply& reply, const BrokerFacts& facts, v1::BrokerStatus* response) {
  const EngineStatus& engine = std::get<EngineStatus>(reply);
  const Store::Stats store = facts.store->stats();
  response->set_version(facts.version);
  response->set_epoch(engine.epoch.value());
  response->set_started_unix_ms(ToMillis(facts.time->started()));
  response->set_now_unix_ms(ToMillis(facts.time->Now()));
  response->set_wall_clock_ahead_ms(facts.time->gap().count() / 1000);
  response->set_pid(static_cast<uint32_t>(getpid()));
  response->set_data_dir(facts.data_dir);
  response->set_queues(engine.queues);
  response->set_sessions(engine.sessions);
  response->set_messages(engine.messages);
  response->set_bytes(engine.bytes);
  response->set_memory_budget_bytes(facts.memory_budget);
  response->set_memory_used_bytes(engine.resident_bytes + engine.uncommitted_bytes + store.memory_bytes +
                                  engine.memory_queues.index_bytes + facts.outbox_bytes.bytes +
                                  engine.unsettled_bytes + engine.producer_bytes);
  response->set_outbox_bytes(facts.outbox_bytes.bytes);
  response->set_unsettled_bytes(engine.unsettled_bytes);
  response->set_producer_bytes(engine.producer_bytes);
  response->set_ring_bytes(facts.ring_bytes);
  response->set_producers_pushed_out(engine.producers_pushed_out);
  FillMemoryQueues(engine.memory_queues, response->mutable_memory_queues());
  response->set_disk_bytes(store.disk_bytes);
  response->set_disk_free_bytes(store.disk_free_bytes);
  response->set_disk_low(engine.disk_low);
  response->set_commits(store.commits);
  response->set_writes(store.writes);
  response->set_syncs(store.syncs);
  for (const std::string& address : facts.listening) response->add_listening(address);
  for (const SessionDescription& session : engine.session_list) {
    v1::SessionInfo* wire = response->add_session_list();
    wire->set_session_id(session.session.value());
    wire->set_client_name(session.client_name);
    wire->set_peer(session.peer);
    wire->set_subscriptions(session.subscriptions);
    wire->set_unsettled(session.unsettled);
    wire->set_unconfirmed(session.unconfirmed);
    wire->set_connected_unix_ms(ToMillis(session.opened));
  }
  return absl::OkStatus();
}

}  // namespace baton

#include "server/engine/browser.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"

namespace baton {
namespace {

constexpr size_t kListsAtOnce = 2;
constexpr size_t kListsPerClientMax = 256;  // that wait
constexpr size_t kPageBytesMax = 8u << 20;

RowKind KindOf(MessageState state) {
  if (state == MessageState::kDelayed) return RowKind::kDelayed;
  if (state == MessageState::kParked) return RowKind::kParked;
  return RowKind::kReady;
}

MessageState StateOf(const Message& message) {
  if (message.state == Message::State::kLeased) return MessageState::kLeased;
  if (message.home == Message::Home::kParkedRow) return MessageState::kParked;
  if (message.home == Message::Home::kDelayedRow && message.state != Message::State::kReady)
    return MessageState::kDelayed;
  return MessageState::kReady;
}

// `content`: whose headers and body these are.
MessageInfo Describe(const Message& message, const Message& content, size_t body_bytes_max) {
  MessageInfo info;
  info.id = message.id;
  info.queue = message.queue->name;
  info.state = StateOf(message);
  info.priority = message.priority;
  info.attempts = message.attempts;
  info.headers = content.headers;
  info.body = content.body.substr(0, body_bytes_max);
  info.body_bytes = content.body.size();
  info.published = message.born;
  if (info.state == MessageState::kDelayed) info.due = message.due_meant();
  if (info.state != MessageState::kParked) info.expires = message.deadline();
  if (info.state == MessageState::kLeased) info.lease_end = message.lease.end;
  info.last_reason = message.last_reason;
  info.producer = message.producer;
  info.sequence = message.sequence;
  return info;
}

absl::Status TooManyReads() {
  return MakeError(absl::StatusCode::kResourceExhausted, reason::kBrokerBusy,
                   "too many reads are waiting: try again shortly");
}

absl::Status NoSuchMessage(const MessageId& id) {
  return MakeError(
      absl::StatusCode::kNotFound, reason::kMessageNotFound,
      fmt::format("there is no message {}: it was settled, expired, purged or deleted, or never was",
                  id.ToText()));
}

}  // namespace

void Browser::Handle(ListMessages command, Instant now) {
  const Asker client = Asker::Of(command.client);
  if (lists_.size(client) >= kListsPerClientMax) {
    state_.outputs->Answer(command.call, TooManyReads());
    return;
  }
  lists_.Add(client, {}, Cost::kNothing, [this, command = std::move(command)](Instant) {
    Start(command);
    return true;
  });
  StartLists(now);
}

void Browser::StartLists(Instant now) {
  lists_.Run(now, [this](Cost) { return lists_read_ < kListsAtOnce; });
}

void Browser::Start(const ListMessages& command) {
  const Queue* queue = state_.FindQueue(command.queue);
  if (queue == nullptr) {
    state_.outputs->Answer(command.call, QueueNotFound(command.queue));
    return;
  }
  const KeyRange range = AllOf(KindOf(command.state), queue->number);
  const bool is_of_this_list = !command.after.has_value() || (command.after->kind == KindOf(command.state) &&
                                                              command.after->queue == queue->number);
  if (!is_of_this_list) {
    state_.outputs->Answer(command.call,
                           MakeError(absl::StatusCode::kInvalidArgument, reason::kInvalidArgument,
                                     "the page token is not one of this list: leave it out to start again"));
    return;
  }
  ReadRequest request;
  request.begin = range.begin;
  if (command.state == MessageState::kReady) request.begin = ReadyKey(queue->number, queue->ledger.head);
  if (command.after.has_value()) request.begin = MessageKey(*command.after) + '\0';
  request.end = range.end;
  request.rows_max = command.limit;
  request.bytes_max = std::min(kPageBytesMax, state_.WindowBytes() / 4);
  request.companion = &AttemptsKeyOfRow;
  request.skip_damage = queue->skips_damage;
  ++lists_read_;
  reads_.Start(std::move(request), [this, command](const ReadResult& result, Instant now) {
    --lists_read_;
    AnswerPage(command, result);
    StartLists(now);
  });
}

void Browser::AnswerPage(const ListMessages& command, const ReadResult& result) {
  Queue* queue = state_.FindQueue(command.queue);
  if (queue == nullptr) {
    state_.outputs->Answer(command.call, QueueNotFound(command.queue));
    return;
  }
  if (!result.status.ok()) {
    state_.ReportDamage(result.status);
    state_.outputs->Answer(command.call, result.status);
    return;
  }
  std::vector<std::pair<std::string, MessageInfo>> rows;
  for (const Row& row : result.rows) {
    auto message = MessageFromRow(*queue, row.key, *row.value, row.companion);
    if (message == nullptr || message->seq < queue->ledger.floor_seq) continue;
    const Message* resident = state_.FindResident(message->id.seq);
    const Message& known = resident != nullptr ? *resident : *message;
    MessageInfo info = Describe(known, known.has_content() ? known : *message, command.body_bytes_max);
    // A due message keeps its delayed row for a while; it is listed among the ready ones.
    if (command.state == MessageState::kDelayed && info.state != MessageState::kDelayed) continue;
    rows.emplace_back(row.key, std::move(info));
  }
  const std::string through = result.end_reached || result.rows.empty()
                                  ? AllOf(KindOf(command.state), queue->number).end
                                  : result.rows.back().key;
  if (command.state == MessageState::kReady) AddDueMessages(*queue, command, through, rows);
  MessagePage page;
  if (!result.end_reached && !result.rows.empty()) page.after = ParseMessageKey(through);
  if (rows.size() > command.limit) {
    rows.resize(command.limit);
    page.after = ParseMessageKey(rows.back().first);
  }
  for (auto& [key, info] : rows) page.messages.push_back(std::move(info));
  state_.outputs->Answer(command.call, Reply(std::move(page)));
}

// Those between the page's first key and `through`, at their place among the ready ones.
void Browser::AddDueMessages(Queue& queue, const ListMessages& command, const std::string& through,
                             std::vector<std::pair<std::string, MessageInfo>>& rows) {
  // There may be very many; one too many says that there are more.
  auto at = queue.due_messages.begin();
  if (command.after.has_value()) at = queue.due_messages.upper_bound(command.after->ready);
  std::vector<std::pair<std::string, const Message*>> due;
  for (; at != queue.due_messages.end() && due.size() <= command.limit; ++at) {
    std::string key = ReadyKey(queue.number, at->first);
    if (key > through) break;
    due.emplace_back(std::move(key), at->second);
  }
  if (due.empty()) return;
  for (auto& [key, message] : due)
    rows.emplace_back(std::move(key), Describe(*message, *message, command.body_bytes_max));
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
}

// Refused here what could as well be asked again: reads have their bound.
bool Browser::MayFind(CallId call, const MessageId& id, Locator::Need need) {
  if (locator_.MayFind(id, need)) return true;
  state_.outputs->Answer(call, TooManyReads());
  return false;
}

void Browser::Handle(const GetMessage& command, Instant now) {
  if (!MayFind(command.call, command.id, Locator::Need::kContent)) return;
  const auto decide = [this, call = command.call, id = command.id](Message* message, Instant at) {
    const bool waits_for_expiry =
        message != nullptr && message->deadline() <= at && message->state != Message::State::kLeased;
    if (message == nullptr || waits_for_expiry) {
      state_.outputs->Answer(call, NoSuchMessage(id));
    } else {
      state_.outputs->Answer(call, Reply(Describe(*message, *message, message->body.size())));
    }
  };
  const auto fail = [this, call = command.call](const absl::Status& why) {
    state_.outputs->Answer(call, why);
  };
  locator_.Find(command.id, now, decide, fail, Locator::Need::kContent);
}

void Browser::Handle(const DeleteMessage& command, Instant now) {
  if (!MayFind(command.call, command.id, Locator::Need::kState)) return;
  const auto decide = [this, call = command.call, id = command.id](Message* message, Instant at) {
    if (message == nullptr) {
      state_.outputs->Answer(call, NoSuchMessage(id));
      return;
    }
    if (message->state == Message::State::kLeased) {
      state_.outputs->Answer(
          call, MakeError(absl::StatusCode::kFailedPrecondition, reason::kMessageLeased,
                          fmt::format("message {} is being worked on: delete it when its lease has ended",
                                      id.ToText())));
      return;
    }
    const Promise promise = message->queue->promise();
    ++message->queue->counters.deleted;
    life_cycle_.Dispose(*message, Disposal::kDrop, "deleted", at);
    state_.confirmations.When(state_.turn.latest(), promise,
                              [this, call] { state_.outputs->Answer(call, Reply(Done())); });
  };
  locator_.Find(command.id, now, decide,
                [this, call = command.call](const absl::Status& why) { state_.outputs->Answer(call, why); });
}

}  // namespace baton

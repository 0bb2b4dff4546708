#include "tests/support/crash_scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/check.h"
#include "storage/format/keys.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using Place = MessageBook::Place;

constexpr uint32_t kOrdersAttempts = 3;
constexpr uint32_t kMailAttempts = 2;
const std::string kOrders = "orders";
const std::string kMail = "mail";
const std::string kDead = "dead";
const std::vector<std::string> kQueues = {kDead, kOrders, kMail};  // in the order of creation
constexpr Duration kLease = milliseconds(200);
constexpr Duration kDrainLease = std::chrono::hours(1);

// A body is its key and something behind it.
std::string KeyOf(std::string_view body) { return std::string(body.substr(0, body.find('|'))); }

}  // namespace

CrashScenario::CrashScenario(uint64_t seed, Crash crash)
    : crash_(crash), directory_(TemporaryDirectory::InMemory()), random_(seed) {
  std::filesystem::create_directory(directory_.path() + "/graveyard");
  disk_ = CrashFileSystem::Create(directory_.path() + "/graveyard", seed);
}

CrashScenario::~CrashScenario() = default;

void CrashScenario::Complain(const std::string& what) { complaint_ += what + "\n"; }

// ---- Lives.

bool CrashScenario::StartLife() {
  broker_ = std::make_unique<CrashBroker>(
      CrashBroker::Options{.path = directory_.path() + "/data", .disk = disk_}, static_cast<Outputs*>(this));
  held_.clear();
  settling_.clear();
  answers_.clear();
  late_acks_.clear();
  purges_.clear();
  if (absl::Status status = broker_->Start(now_); !status.ok()) {
    if (disk_->has_power()) Complain(fmt::format("does not start: {}", std::string(status.message())));
    return false;
  }
  producing_ = SessionId(++last_session_);
  broker_->Handle(
      OpenSession{.session = producing_, .client_name = "producer", .peer = "", .producer = producer_});
  return CreateQueues();
}

bool CrashScenario::CreateQueues() {
  for (const std::string& name : kQueues) {
    QueueConfigPatch config;
    if (name == kOrders) {
      config.attempts_max = kOrdersAttempts;
      config.dead_letter_queue = kDead;
    } else if (name == kMail) {
      config.durability = Durability::kRelaxed;
      config.attempts_max = kMailAttempts;
      config.exhausted = Disposal::kPark;
    } else {
      config.attempts_max = 0;
    }
    const CallId call = NextCall();
    const auto answer = Ask(call, CreateQueue{.call = call, .name = name, .config = config});
    if (!answer.has_value()) return false;
    if (answer->ok() && created_.contains(name)) Complain("the queue " + name + " is lost");
    if (!answer->ok() && answer->status().code() != absl::StatusCode::kAlreadyExists) {
      Complain(std::string(answer->status().message()));
    }
    created_.insert(name);
  }
  return true;
}

void CrashScenario::OpenConsumer() {
  consuming_ = SessionId(++last_session_);
  settlements_ = settled_through_ = 0;
  broker_->Handle(OpenSession{.session = consuming_, .client_name = "consumer", .peer = "", .producer = {}});
  for (size_t i = 0; i < kQueues.size(); ++i) {
    broker_->Handle(Subscribe{.session = consuming_,
                              .subscription = SubscriptionId(i + 1),
                              .queue = kQueues[i],
                              .lease = draining_ ? kDrainLease : kLease,
                              .credit_messages = static_cast<uint32_t>(1 + Below(8))});
  }
}

void CrashScenario::Live(int steps) {
  draining_ = false;
  if (!StartLife()) return;
  Replay();
  OpenConsumer();
  for (int i = 0; i < steps && broker_->failure().ok(); ++i) Step();
}

void CrashScenario::CrashNow() {
  left_behind_.clear();
  for (auto& [tag, held] : held_) left_behind_.push_back(std::move(held));
  held_.clear();
  disk_->CutPower();
  broker_.reset();
  if (crash_ == Crash::kPowerLoss) {
    disk_->RestorePower();
  } else {
    disk_->ResumeWithoutLoss();
  }
  book_.Crashed();
}

// ---- What clients do.

void CrashScenario::Step() {
  const uint64_t dice = Below(100);
  if (dice < 38) {
    PublishSome();
  } else if (dice < 68) {
    SettleOne();
  } else if (dice < 71) {
    AckTwice();
  } else if (dice < 73) {
    LoseConsumer();
  } else if (dice < 74) {
    Purge();
  } else if (dice < 88) {
    PassTime();
  } else {  // somebody waits for what is on its way
    const bool answered =
        broker_->RunUntil([this] { return settled_through_ == settlements_ && unconfirmed_.empty(); });
    if (!answered && broker_->failure().ok()) Complain("nothing moves, and something is not answered");
    return;
  }
  if (Chance(70)) broker_->EndTurn();
}

void CrashScenario::PublishSome() {
  const std::string queue = Chance(70) ? kOrders : kMail;
  Publish publish{.session = producing_,
                  .call = {},
                  .queue = queue,
                  .producer = {},
                  .first_sequence = last_sequence_ + 1,
                  .want_ids = false,
                  .messages = {}};
  for (uint64_t count = 1 + Below(4); count > 0; --count) {
    NewMessage message;
    const std::string key = fmt::format("{}-{:04}", queue, ++last_sequence_);
    message.body = key + "|" + std::string(Below(2500), static_cast<char>('a' + Below(26)));
    message.priority = Chance(50) ? 0 : static_cast<uint32_t>(Below(4));
    if (queue == kOrders && Chance(15)) message.ttl = milliseconds(50 + Below(500));
    if (message.ttl == Duration(0) && Chance(20)) message.delay = milliseconds(1 + Below(300));
    last_due_ = std::max(last_due_, now_ + message.delay);
    book_.Published(key,
                    {.queue = queue,
                     .priority = message.priority,
                     .due = now_ + message.delay,
                     .deadline = message.ttl > Duration(0) ? now_ + message.ttl : kNever},
                    broker_->turn());
    unconfirmed_[last_sequence_] = {.queue = queue, .message = message, .key = key, .turn = broker_->turn()};
    publish.messages.push_back(std::move(message));
    ++tally_.published;
  }
  broker_->Handle(std::move(publish));
}

void CrashScenario::SettleOne() {
  if (held_.empty()) return;
  auto at = held_.begin();
  std::advance(at, Below(held_.size()));
  const uint64_t tag = at->first;
  const uint64_t dice = Below(100);
  if (dice < 60) {
    Ack(tag);
  } else if (dice < 80) {
    GiveBack(tag, SettleKind::kNack);
  } else if (dice < 90) {
    GiveBack(tag, SettleKind::kRelease);
  } else if (dice < 95) {
    at->second.lease_end = now_ + kLease;
    SendSettle(tag, {.kind = SettleKind::kExtend}, {});
  } else {
    GiveBack(tag, SettleKind::kDeadLetter);
  }
}

void CrashScenario::SendSettle(uint64_t tag, Settlement how, Settling settling) {
  settling.turn = broker_->turn();
  settling_[++settlements_] = settling;
  broker_->Handle(SettleTags{.session = consuming_, .settlement = std::move(how), .tags = {{tag, tag}}});
}

void CrashScenario::Ack(uint64_t tag) {
  const Held held = held_.extract(tag).mapped();
  book_.Acked(held.key, broker_->turn());
  ++tally_.acked;
  SendSettle(tag, {}, {.promises = IsDurable(held.queue)});
}

// As a client does whose connection broke after the ack: asks again by token, and takes "it is gone" for an
// answer.
void CrashScenario::AckTwice() {
  if (held_.empty()) return;
  const auto [tag, held] = *held_.begin();
  if (held.queue == kMail) return;  // its answer would come with the sync, within a second
  const uint64_t turn = broker_->turn();
  Ack(tag);
  if (Chance(50)) broker_->EndTurn();
  const CallId call = NextCall();
  late_acks_[call] = {.key = held.key,
                      .again = true,
                      .first_turn = IsDurable(held.queue) ? std::optional(turn) : std::nullopt};
  broker_->Handle(SettleTokens{.call = call, .settlement = {}, .tokens = {held.token}});
}

void CrashScenario::GiveBack(uint64_t tag, SettleKind kind) {
  const Held held = held_.at(tag);
  const bool rejects = kind == SettleKind::kDeadLetter && held.queue != kDead;
  if (kind == SettleKind::kDeadLetter && !rejects) return;
  held_.erase(tag);
  Settlement how{.kind = kind};
  if (kind == SettleKind::kNack) {
    if (Chance(50)) how.delay = milliseconds(Below(150));
    how.reason = "not now";
  }
  if (kind != SettleKind::kRelease) CountReturn(held, how.delay, rejects);
  SendSettle(tag, std::move(how), {.promises = kind != SettleKind::kRelease && IsDurable(held.queue)});
}

void CrashScenario::CountReturn(const Held& held, std::optional<Duration> delay, bool rejected) {
  const Duration wait = delay.value_or(Duration(0));
  MessageBook::Return how{.attempts = held.attempt, .due = now_ + wait, .gives_up = std::nullopt};
  const uint32_t attempts_max =
      held.queue == kOrders ? kOrdersAttempts : (held.queue == kMail ? kMailAttempts : 0);
  const bool expired = book_.deadline(held.key) <= now_ && held.queue == kOrders;
  if (rejected || (attempts_max != 0 && held.attempt >= attempts_max && !expired)) {
    how.gives_up = held.queue == kOrders ? Place::kDeadLetters : Place::kParked;
    how.due = now_;
    ++tally_.given_up;
  }
  last_due_ = std::max(last_due_, how.due);
  book_.Returned(held.key, how, broker_->turn());
  ++tally_.returned;
}

void CrashScenario::LoseConsumer() {
  for (const auto& [tag, held] : held_) CountReturn(held, std::nullopt, false);
  held_.clear();
  settling_.clear();
  broker_->Handle(CloseSession{.session = consuming_});
  OpenConsumer();
}

void CrashScenario::Purge() {
  const std::string queue = Chance(50) ? kOrders : kMail;
  const CallId call = NextCall();
  book_.Purged(queue, broker_->turn());
  purges_[call] = broker_->turn();
  broker_->Handle(PurgeQueue{.call = call, .name = queue});
  ++tally_.purges;
  // The consumer does not know, and its credit wants to be given back.
  for (auto at = held_.begin(); at != held_.end();) {
    const auto next = std::next(at);
    if (at->second.queue == queue) {
      SendSettle(at->first, {.kind = SettleKind::kRelease}, {});
      held_.erase(at);
    }
    at = next;
  }
}

void CrashScenario::PassTime() {
  now_ += milliseconds(Below(80));
  broker_->SetNow(now_);
  std::erase_if(held_, [this](const auto& entry) {
    if (entry.second.lease_end > now_) return false;
    CountReturn(entry.second, std::nullopt, false);
    return true;
  });
  broker_->EndTurn();
}

void CrashScenario::SettleLate() {
  for (const Held& held : std::exchange(left_behind_, {})) {
    if (Chance(50)) continue;
    const CallId call = NextCall();
    late_acks_[call] = {.key = held.key, .durable = IsDurable(held.queue)};
    book_.LateAckSent(held.key);
    ++tally_.late_acks;
    broker_->Handle(SettleTokens{.call = call, .settlement = {}, .tokens = {held.token}});
  }
}

// What was not confirmed comes again under its sequence. Not what has a TTL: it would have another deadline
// then.
void CrashScenario::Replay() {
  std::erase_if(unconfirmed_, [](const auto& sent) { return sent.second.message.ttl > Duration(0); });
  const auto unconfirmed = unconfirmed_;  // duplicates are confirmed at once
  for (const auto& [sequence, sent] : unconfirmed) {
    unconfirmed_.at(sequence).turn = broker_->turn();
    book_.Replayed(sent.key, broker_->turn());
    last_due_ = std::max(last_due_, now_ + sent.message.delay);
    broker_->Handle(Publish{.session = producing_,
                            .call = {},
                            .queue = sent.queue,
                            .producer = {},
                            .first_sequence = sequence,
                            .want_ids = false,
                            .messages = {sent.message}});
    if (Chance(30)) broker_->EndTurn();
  }
}

// ---- The drain.

bool CrashScenario::Drain() {
  draining_ = true;
  drained_.clear();
  if (!StartLife()) return false;
  SettleLate();
  if (!SetPaused(true)) return false;  // which is synced, and so the answer to every late ack comes
  if (!broker_->RunUntil([this] { return late_acks_.empty(); })) return false;
  if (Chance(50)) {
    Replay();
  } else {
    unconfirmed_.clear();  // the producer does not come back
  }
  if (!WakeDelayed()) return false;

  const auto counted = Inventory();
  if (!counted.has_value()) return false;
  book_.BeginInventory();
  if (!DrainParked() || !DrainReady()) return false;
  book_.EndInventory(now_);
  for (const auto& [queue, info] : *counted) CheckDrained(queue, info);

  const auto left = Inventory();
  if (!left.has_value()) return false;
  for (const auto& [queue, info] : *left) {
    const uint64_t messages = info.ready + info.leased + info.delayed + info.parked;
    if (messages + info.bytes + info.resident != 0) {
      Complain(fmt::format("{} counts {} messages of {} bytes after everything was taken", queue, messages,
                           info.bytes));
    }
  }
  // Hints of messages that were purged go at their time.
  now_ += std::chrono::minutes(1);
  broker_->SetNow(now_);
  broker_->EndTurn();
  if (!broker_->RunUntilStill()) return false;
  if (!late_acks_.empty() || !unconfirmed_.empty()) Complain("something was not answered");
  return true;
}

bool CrashScenario::SetPaused(bool paused) {
  for (const std::string& name : kQueues) {
    const CallId call = NextCall();
    const auto answer = Ask(call, UpdateQueue{.call = call, .name = name, .config = {}, .paused = paused});
    if (!answer.has_value()) return false;
    if (!answer->ok()) Complain(std::string(answer->status().message()));
  }
  return true;
}

// Everything delayed becomes ready while nobody takes anything, so that the order of all of it can be judged.
bool CrashScenario::WakeDelayed() {
  now_ = std::max(now_, last_due_ + milliseconds(1));
  broker_->SetNow(now_);
  broker_->EndTurn();
  return broker_->RunUntilStill();
}

std::optional<std::map<std::string, QueueInfo>> CrashScenario::Inventory() {
  std::map<std::string, QueueInfo> infos;
  for (const std::string& name : kQueues) {
    const CallId call = NextCall();
    auto answer = Ask(call, GetQueue{.call = call, .name = name});
    if (!answer.has_value()) return std::nullopt;
    if (answer->ok()) {
      infos[name] = std::get<QueueInfo>(**answer);
    } else {
      Complain(std::string(answer->status().message()));
    }
  }
  return infos;
}

bool CrashScenario::DrainParked() {
  for (const std::string& queue : kQueues) {
    std::optional<MessageKeyParts> after;
    do {
      const CallId call = NextCall();
      const auto page = Ask(
          call,
          ListMessages{
              .call = call, .queue = queue, .state = MessageState::kParked, .after = after, .limit = 1000});
      if (!page.has_value()) return false;
      if (!page->ok()) {
        Complain(std::string(page->status().message()));
        break;
      }
      const auto& listed = std::get<MessagePage>(**page);
      for (const MessageInfo& info : listed.messages) {
        if (!TakeParked(queue, info)) return false;
      }
      after = listed.after;
    } while (after.has_value());
  }
  return true;
}

bool CrashScenario::TakeParked(const std::string& queue, const MessageInfo& info) {
  const std::string key = KeyOf(info.body);
  book_.Seen(key, Place::kParked, 0, now_);
  ++drained_[queue].parked;
  drained_[queue].bytes += info.headers.size() + info.body_bytes;
  const CallId deletion = NextCall();
  book_.LateAckSent(key);
  const auto deleted = Ask(deletion, DeleteMessage{.call = deletion, .id = info.id});
  if (!deleted.has_value()) return false;
  if (!deleted->ok()) Complain(key + " is parked, and cannot be deleted");
  book_.LateAckAnswered(key, IsDurable(queue) ? MessageBook::Answer::kDone : MessageBook::Answer::kDoneForNow,
                        now_);
  return true;
}

bool CrashScenario::DrainReady() {
  OpenConsumer();
  if (!SetPaused(false) || !broker_->RunUntilStill()) return false;
  while (!held_.empty()) {
    for (uint64_t count = 1 + Below(8); count > 0 && !held_.empty(); --count) Ack(held_.begin()->first);
    if (!broker_->RunUntilStill()) return false;
  }
  if (settled_through_ != settlements_) Complain("an ack was not answered");
  return true;
}

void CrashScenario::NoteDrained(const std::string& queue, const DeliveryView& delivery) {
  Drained& drained = drained_[queue];
  const bool in_order =
      delivery.priority < drained.last_priority ||
      (delivery.priority == drained.last_priority && (queue == kDead || delivery.id.seq > drained.last_seq));
  if (!in_order) {
    Complain(fmt::format("{}: {} of priority {} came after one of priority {}", queue, KeyOf(delivery.body),
                         delivery.priority, drained.last_priority));
  }
  drained.last_priority = delivery.priority;
  drained.last_seq = delivery.id.seq;
  ++drained.ready;
  drained.bytes += delivery.headers.size() + delivery.body.size();
  ++tally_.drained;
}

void CrashScenario::CheckDrained(const std::string& queue, const QueueInfo& counted) {
  const Drained& drained = drained_[queue];
  if (counted.ready != drained.ready || counted.parked != drained.parked || counted.bytes != drained.bytes ||
      counted.delayed + counted.leased != 0) {
    Complain(
        fmt::format("{} counted {} ready, {} parked, {} delayed, {} leased, {} bytes; there were {} "
                    "ready and {} parked of {} bytes",
                    queue, counted.ready, counted.parked, counted.delayed, counted.leased, counted.bytes,
                    drained.ready, drained.parked, drained.bytes));
  }
}

void CrashScenario::CheckNoRowsLeft() {
  broker_.reset();
  auto store = RocksStore::Open({.path = directory_.path() + "/data",
                                 .memory_budget_bytes = 2u << 20,
                                 .wal_bytes_max = 256u << 10,
                                 .ballast_bytes = 0,
                                 .disk_low_bytes = 0,
                                 .file_system = disk_});
  if (!store.ok()) return Complain(std::string(store.status().message()));
  for (const RowKind kind : {RowKind::kReady, RowKind::kDelayed, RowKind::kParked, RowKind::kExpiry,
                             RowKind::kAttempts, RowKind::kLocator}) {
    uint64_t rows = 0;
    const absl::Status status =
        (*store)->ScanNow(AllOf(kind).begin, AllOf(kind).end, [&](std::string_view, std::string_view) {
          ++rows;
          return absl::OkStatus();
        });
    if (!status.ok()) Complain(std::string(status.message()));
    if (rows != 0) Complain(fmt::format("{} rows of kind {} are left", rows, static_cast<char>(kind)));
  }
}

// ---- Answers.

std::optional<absl::StatusOr<Reply>> CrashScenario::Ask(CallId call, Command command) {
  answers_[call] = std::nullopt;
  broker_->Handle(std::move(command));
  broker_->RunUntil([&] { return answers_.at(call).has_value(); });
  auto answer = answers_.extract(call).mapped();
  if (!answer.has_value() && disk_->has_power()) {
    Complain(
        fmt::format("call {} is not answered ({})", call.value(), std::string(broker_->failure().message())));
  }
  return answer;
}

void CrashScenario::Subscribed(SessionId, SubscriptionId, absl::StatusOr<Duration> lease) {
  if (!lease.ok()) Complain(std::string(lease.status().message()));
}

void CrashScenario::EndSession(SessionId, absl::Status why) { Complain(std::string(why.message())); }

void CrashScenario::Deliver(SessionId session, const DeliveryView& delivery) {
  if (session != consuming_) Complain("a delivery to a session that is closed");
  const std::string& queue = kQueues[delivery.subscription.value() - 1];
  const std::string key = KeyOf(delivery.body);
  const bool own = key.starts_with(queue);
  book_.Seen(key, own ? Place::kQueue : Place::kDeadLetters, delivery.attempt, now_);
  if (delivery.redelivered != (delivery.attempt > 1 || EpochOf(delivery.id.seq) < broker_->epoch())) {
    Complain(key + ": `redelivered` is wrong");
  }
  if (draining_) NoteDrained(queue, delivery);
  held_[delivery.tag] = {.key = key,
                         .queue = queue,
                         .attempt = delivery.attempt,
                         .token = {.epoch = broker_->epoch(),
                                   .delivery = delivery.number,
                                   .attempt = delivery.attempt,
                                   .id = delivery.id},
                         .lease_end = delivery.lease_end};
  ++tally_.delivered;
}

void CrashScenario::Confirm(SessionId, ConfirmRun run) {
  for (const PublishFailure& failure : run.failures) Complain(std::string(failure.status.message()));
  for (uint64_t sequence = run.first; sequence <= run.last; ++sequence) {
    const bool duplicate = std::count(run.duplicates.begin(), run.duplicates.end(), sequence) != 0;
    const auto found = unconfirmed_.find(sequence);
    if (found == unconfirmed_.end())
      return Complain(fmt::format("sequence {} was confirmed twice", sequence));
    const Sent& sent = found->second;
    // A duplicate's answer is about an earlier life.
    if (IsDurable(sent.queue) && !duplicate) book_.Promised(sent.turn);
    book_.Confirmed(sent.key, duplicate);
    tally_.duplicates += duplicate ? 1 : 0;
    unconfirmed_.erase(found);
  }
}

void CrashScenario::Settled(SessionId session, uint64_t through, std::vector<SettleFailure> failures) {
  if (session != consuming_) return Complain("an answer to a session that is closed");
  settled_through_ = through;
  for (const SettleFailure& failure : failures) {
    const auto settling = settling_.find(failure.settlement);
    if (settling != settling_.end() && settling->second.promises) {
      Complain(fmt::format("a settlement was refused: {}", std::string(failure.status.message())));
    }
  }
  while (!settling_.empty() && settling_.begin()->first <= through) {
    if (settling_.begin()->second.promises) book_.Promised(settling_.begin()->second.turn);
    settling_.erase(settling_.begin());
  }
}

void CrashScenario::Answer(CallId call, absl::StatusOr<Reply> reply) {
  if (const auto late = late_acks_.extract(call)) {
    if (!reply.ok()) return Complain(std::string(reply.status().message()));
    AnswerLateAck(late.mapped(), std::get<SettleReply>(*reply).results.at(0));
  } else if (const auto purge = purges_.extract(call)) {
    if (!reply.ok()) return Complain(std::string(reply.status().message()));
    book_.Promised(purge.mapped());
  } else {
    answers_.at(call) = std::move(reply);
  }
}

void CrashScenario::AnswerLateAck(const LateAck& ack, const absl::Status& result) {
  const bool gone = result.code() == absl::StatusCode::kNotFound;
  if (ack.again) {
    // The client takes it for done, and tells its user so.
    if (!gone) Complain(ack.key + ": was acked twice, and the second answer is not NOT_FOUND");
    if (ack.first_turn.has_value()) book_.Promised(*ack.first_turn);
    return;
  }
  const auto done = ack.durable ? MessageBook::Answer::kDone : MessageBook::Answer::kDoneForNow;
  book_.LateAckAnswered(
      ack.key, result.ok() ? done : (gone ? MessageBook::Answer::kGone : MessageBook::Answer::kRefused),
      now_);
}

}  // namespace baton

#include "tests/support/engine_simulation.h"

#include <algorithm>
#include <cstdio>

#include "base/check.h"

namespace baton {
namespace {

using std::chrono::milliseconds;

constexpr size_t kLargeBody = 4'000;
constexpr size_t kSourceQueues = 2;  // the first ones; the others are their dead-letter queues

}  // namespace

EngineSimulation::EngineSimulation(const Options& options)
    : options_(options),
      random_(options.seed),
      kind_(Chance(40)   ? Kind::kOnDisk
            : Chance(50) ? Kind::kInMemory
                         : Kind::kBoth),
      queues_(kind_ == Kind::kBoth ? std::vector<std::string>{"orders", "mail", "dead", "ashes"}
                                   : std::vector<std::string>{"orders", "mail", "dead"}),
      clients_(2),
      has_damage_(Chance(20)) {
  for (Client& client : clients_) client.producer = ProducerId(Below(1'000'000) + 1);
}

EngineSimulation::~EngineSimulation() = default;

void EngineSimulation::Run() {
  StartBroker();
  for (int i = 0; i < options_.steps; ++i) Step();
  EndEverything();
  tally_.published = model_.arrows(Arrow::kPublished);
  tally_.delivered = model_.deliveries();
  tally_.acked = model_.acks();
  tally_.expired = model_.arrows(Arrow::kExpired);
  tally_.dead_lettered = model_.arrows(Arrow::kDeadLettered);
  tally_.in_order = order_.checked();
  tally_.digest = digest_.value();
}

// ---- A life begins.

void EngineSimulation::StartBroker() {
  epoch_ = Epoch(epoch_.value() + 1);
  // A head window of about three messages, chunks of two.
  EngineOptions engine_options{.epoch = epoch_, .window_bytes = 3 * (sizeof(Message) + 180), .chunk_rows = 2};
  if (Chance(10)) engine_options.window_bytes = 1 << 20;
  if (Chance(20)) engine_options.window_bytes = kLargeBody;  // large ones do not fit
  window_bytes_ = engine_options.window_bytes;
  if (Chance(20)) engine_options.leased_bytes_max = 2 * (sizeof(Message) + 180);
  if ((may_fall_behind_ = Chance(20))) engine_options.uncommitted_bytes_max = 500;
  engine_options.make_memory_room = [this](size_t bytes, size_t message_bytes, MemoryRoom& room) {
    return store_.MakeMemoryRoom(bytes, message_bytes, room);
  };
  engine_ = std::make_unique<Engine>(engine_options, static_cast<Outputs*>(this), &order_);
  store_.Open();
  const absl::Status loaded =
      engine_->Load([this](RowKind kind, const Engine::Visit& visit) { return store_.Scan(kind, visit); });
  BATON_CHECK(loaded.ok()) << loaded;
  store_.Start();
  engine_->OnMemoryRoom(store_.memory_room());
  engine_->Start(now_);
  model_.next_commit = CommitNumber(1);
  model_.epoch = epoch_;
  if (epoch_ == Epoch(1)) CreateQueues();
  // A change whose commit was lost has not happened.
  for (const std::string& queue : queues_) model_.SetTtl(queue, Info(queue).config.ttl);
  for (Client& client : clients_) OpenClient(client);
}

CreateQueue EngineSimulation::Creation(const std::string& queue) {
  store_.FillMemory(false);  // or it would be refused
  QueueConfigPatch config{.attempts_max = 2, .exhausted = Disposal::kDrop};
  if (queue == "orders") config = {.attempts_max = 3, .dead_letter_queue = "dead"};
  if (queue == "mail") {
    config = {.durability = Durability::kRelaxed,
              .delivery = DeliveryMode::kCommitted,
              .attempts_max = 4,
              .backoff = milliseconds(50),
              .exhausted = Disposal::kPark,
              .expired = Disposal::kDeadLetter,
              .dead_letter_queue = kind_ == Kind::kBoth ? "ashes" : "dead"};
  }
  const bool in_memory =
      kind_ == Kind::kInMemory || (kind_ == Kind::kBoth && (queue == "mail" || queue == "ashes"));
  if (in_memory) config.durability = Durability::kMemory;
  return {.call = NextCall(), .name = queue, .config = std::move(config)};
}

void EngineSimulation::CreateQueues() {
  for (auto queue = queues_.rbegin(); queue != queues_.rend(); ++queue) Send(Creation(*queue));
  Turn();
  while (store_.unwritten() > 0) store_.WriteOne();
  store_.Sync();
  engine_->OnProgress(store_.written(), store_.synced(), now_);
}

// Another queue of the same name: the old one's messages are gone, its subscriptions end.
void EngineSimulation::RecreateQueue() {
  const std::string& queue = queues_[Below(kSourceQueues)];
  Send(DeleteQueue{.call = NextCall(), .name = queue});
  model_.Purged(queue);
  Send(Creation(queue));
  model_.SetTtl(queue, Duration(0));
}

void EngineSimulation::OpenClient(Client& client) {
  client.session = SessionId(++last_session_);
  client.holds.clear();
  client.acks.clear();
  client.settlements = client.settled_through = 0;
  order_.Begins(client.producer);
  Send(OpenSession{
      .session = client.session, .client_name = "simulated", .peer = "", .producer = client.producer});
}

// ---- Steps.

void EngineSimulation::Step() {
  const uint64_t dice = Below(100);
  if (dice < 24) {
    PublishSome();
  } else if (dice < 27) {
    RepublishSome();
  } else if (dice < 35) {
    SubscribeSome();
  } else if (dice < 55) {
    SettleSome();
  } else if (dice < 60) {
    SettleByToken();
  } else if (dice < 64) {
    ReceiveByCall();
  } else if (dice < 66) {
    Reconnect();
  } else if (dice < 71) {
    Administrate();
  } else if (dice < 72) {
    Crash();
  } else if (dice < 82) {
    PassTime();
  } else {
    StoreWorks();
  }
  if (Chance(5)) AskForNonsense();
  if (has_damage_ && Chance(5)) DamageSome();
  if (Chance(60)) Turn();
}

std::string EngineSimulation::AnyQueue() {
  return queues_[Below(Chance(80) ? kSourceQueues : queues_.size())];
}

NewMessage EngineSimulation::AnyMessage() {
  NewMessage message;
  message.priority = Chance(50) ? 0 : static_cast<uint32_t>(Below(4));
  if (Chance(25)) message.ttl = milliseconds(1 + Below(300));
  if (Chance(25)) message.delay = milliseconds(1 + Below(200));
  message.body = std::to_string(++last_body_);
  if (Chance(10)) message.body.resize(kLargeBody / (1 + Below(8)), '.');
  return message;
}

void EngineSimulation::PublishSome() {
  Client& client = AnyClient();
  const std::string queue = AnyQueue();
  Publish publish{.session = client.session,
                  .call = {},
                  .queue = queue,
                  .producer = {},
                  .first_sequence = client.last_sequence + 1,
                  .want_ids = true,
                  .messages = {}};
  for (uint64_t count = 1 + Below(3); count > 0; --count) {
    publish.messages.push_back(AnyMessage());
    client.unconfirmed.emplace(++client.last_sequence, std::pair(queue, publish.messages.back()));
    order_.Sends(client.producer, client.last_sequence);
  }
  Send(std::move(publish));
}

// As after a reconnect: whatever is not confirmed comes again under its sequence.
void EngineSimulation::RepublishSome() {
  Client& client = AnyClient();
  const auto unconfirmed = client.unconfirmed;  // some are confirmed while we go
  for (const auto& [sequence, sent] : unconfirmed) {
    order_.SendsAgain(client.producer, sequence);
    Send(Publish{.session = client.session,
                 .call = {},
                 .queue = sent.first,
                 .producer = {},
                 .first_sequence = sequence,
                 .want_ids = true,
                 .messages = {sent.second}});
  }
}

void EngineSimulation::SubscribeSome() {
  const Client& client = AnyClient();
  const size_t which = Below(queues_.size());
  if (Chance(15)) {
    Send(Unsubscribe{.session = client.session, .subscription = SubscriptionOf(which)});
  } else if (Chance(30)) {
    Send(SetCredit{.session = client.session,
                   .subscription = SubscriptionOf(which),
                   .messages = static_cast<uint32_t>(Below(4))});
  } else {
    Send(Subscribe{.session = client.session,
                   .subscription = SubscriptionOf(which),
                   .queue = queues_[which],
                   .lease = milliseconds(100 + Below(200)),
                   .credit_messages = static_cast<uint32_t>(1 + Below(4))});
  }
}

void EngineSimulation::SettleSome() {
  Client& client = AnyClient();
  if (client.holds.empty()) return;
  auto at = client.holds.begin();
  std::advance(at, Below(client.holds.size()));
  const SettleKind kinds[] = {SettleKind::kAck,       SettleKind::kAck,     SettleKind::kAck,
                              SettleKind::kNack,      SettleKind::kRelease, SettleKind::kExtend,
                              SettleKind::kDeadLetter};
  SettleTags settle{.session = client.session,
                    .settlement = {.kind = kinds[Below(std::size(kinds))]},
                    .tags = {{at->first, at->first}}};
  if (settle.settlement.kind == SettleKind::kNack && Chance(50)) {
    settle.settlement.delay = milliseconds(Below(100));
  }
  ++client.settlements;
  const LeaseToken& token = held_[at->second].token;
  const BrokerModel::Entry* entry = model_.Find(token.id.seq);
  if (settle.settlement.kind == SettleKind::kAck) {
    order_.SendsAck(client.producer, token.id.seq);
    const Durability durability =
        entry == nullptr ? Durability::kRelaxed : Info(entry->queue).config.durability;
    client.acks[client.settlements].push_back(
        {.tag = at->first, .message = token.id.seq, .durability = durability});
  }
  const bool extend = settle.settlement.kind == SettleKind::kExtend;
  if (Chance(5)) {  // twice
    Send(settle);
    ++client.settlements;
  }
  if (!extend) client.holds.erase(at);
  Send(std::move(settle));
}

void EngineSimulation::SettleByToken() {
  if (held_.empty()) return;
  const SettleKind kinds[] = {SettleKind::kAck, SettleKind::kAck, SettleKind::kNack, SettleKind::kRelease,
                              SettleKind::kExtend};
  SettleTokens settle{
      .call = NextCall(), .settlement = {.kind = kinds[Below(std::size(kinds))]}, .tokens = {}};
  if (settle.settlement.kind == SettleKind::kNack) {
    if (Chance(60)) settle.settlement.delay = milliseconds(Below(100));
    if (Chance(50)) settle.settlement.reason = "busy";
  }
  const size_t from = held_.size() > 12 ? held_.size() - 12 : 0;
  for (uint64_t count = 1 + Below(2); count > 0; --count) {
    settle.tokens.push_back(held_[from + Below(held_.size() - from)].token);
    if (settle.settlement.kind == SettleKind::kAck) order_.AckedByCall(settle.tokens.back()->id.seq);
  }
  Send(std::move(settle));
}

void EngineSimulation::ReceiveByCall() {
  const CallId call = NextCall();
  Send(Receive{.call = call,
               .queue = AnyQueue(),
               .messages_max = static_cast<uint32_t>(1 + Below(2)),
               .bytes_max = 1000,
               .wait = milliseconds(Below(100)),
               .lease = milliseconds(100 + Below(200))});
  if (Chance(20)) Send(CancelCall{.call = call});
}

void EngineSimulation::Reconnect() {
  Client& client = AnyClient();
  Send(CloseSession{.session = client.session});
  // Its leases went back at once, where there was no need to wait.
  for (const auto& [tag, index] : client.holds) {
    const LeaseToken& token = held_[index].token;
    const BrokerModel::Entry* entry = model_.Find(token.id.seq);
    const bool may_be_read_first = entry != nullptr && entry->bytes >= Message::FootprintOfEmpty() / 2;
    BATON_CHECK(may_fall_behind_ || may_be_read_first || entry == nullptr ||
                entry->state != BrokerModel::State::kLeased || model_.holder(token.id.seq) != token.delivery);
  }
  OpenClient(client);
}

void EngineSimulation::Administrate() {
  const std::string queue = AnyQueue();
  if (Chance(4)) return RecreateQueue();
  switch (Below(9)) {
    case 0:
      Send(PurgeQueue{.call = NextCall(), .name = queue});
      model_.Purged(queue);
      break;
    case 1:
      Send(UpdateQueue{.call = NextCall(), .name = queue, .config = {}, .paused = Chance(30)});
      break;
    case 2:
      Send(UpdateQueue{.call = NextCall(),
                       .name = queue,
                       .config = {.messages_max = Chance(50) ? 0 : 3 + Below(4),
                                  .overflow = static_cast<OverflowPolicy>(1 + Below(3))}});
      break;
    case 3:
      Send(UpdateQueue{.call = NextCall(),
                       .name = queue,
                       .config = {.attempts_max = static_cast<uint32_t>(Below(4)),
                                  .exhausted = static_cast<Disposal>(1 + Below(3)),
                                  .expired = static_cast<Disposal>(1 + Below(3)),
                                  .in_flight_max = Chance(50) ? 0 : 1 + Below(3)}});
      break;
    case 4:
      Send(UpdateQueue{.call = NextCall(),
                       .name = queue,
                       .config = {.durability = static_cast<Durability>(1 + Below(2)),
                                  .delivery = static_cast<DeliveryMode>(1 + Below(2))}});
      break;
    case 5:
      ChangeTtl(queue);
      break;
    case 6:
      Send(ListMessages{.call = NextCall(),
                        .queue = queue,
                        .state = Chance(50) ? MessageState::kReady : MessageState::kDelayed});
      break;
    default: {
      if (model_.entries().empty()) break;
      auto at = model_.entries().begin();
      std::advance(at, Below(model_.entries().size()));
      if (Chance(50)) {
        Send(GetMessage{.call = NextCall(), .id = at->second.id});
      } else {
        Send(DeleteMessage{.call = NextCall(), .id = at->second.id});
      }
    }
  }
}

void EngineSimulation::ChangeTtl(const std::string& queue) {
  const Duration ttl = Chance(40) ? Duration(0) : Duration(milliseconds(20 + Below(500)));
  model_.SetTtl(queue, ttl);
  Send(UpdateQueue{.call = NextCall(), .name = queue, .config = {.ttl = ttl}});
}

// A clock was set. That is synced at once here: what would be if it were lost is not the model's to know.
void EngineSimulation::SetClock() {
  const Duration by = milliseconds(Below(1'000)) - milliseconds(500);
  now_ += by;
  model_.ClockMoved(by);
  engine_->OnClockMoved(by, now_);
  Turn();
  while (store_.unwritten() > 0) store_.WriteOne();
  store_.Sync();
  engine_->OnProgress(store_.written(), store_.synced(), now_);
  model_.Synced(store_.synced());
}

void EngineSimulation::PassTime() {
  if (Chance(4)) return SetClock();
  if (Chance(50) && next_due_ != kNever) {
    now_ = std::max(now_, std::min(next_due_, now_ + milliseconds(500)));
  } else {
    now_ += milliseconds(Below(60));
  }
}

void EngineSimulation::StoreWorks() {
  for (uint64_t count = Below(3); count > 0 && store_.unwritten() > 0; --count) store_.WriteOne();
  if (Chance(40)) store_.Sync();
  if (Chance(70)) engine_->OnProgress(store_.written(), store_.synced(), now_);
  if (Chance(30)) model_.Synced(store_.synced());
  // Others fill shared memory, and make room again.
  if (Chance(3)) store_.FillMemory(Chance(50));
  engine_->OnMemoryRoom(store_.memory_room());
  while (Chance(60) && store_.LookOne()) continue;
  while (Chance(60)) {
    auto answer = store_.TakeAnswer();
    if (!answer.has_value()) break;
    ++tally_.reads;
    engine_->OnRead(*std::move(answer), now_);
  }
}

void EngineSimulation::Crash() {
  using Memory = SimulatedStore::Memory;
  const bool power_lost = Chance(40);
  const Memory memory = power_lost ? Memory::kLost : Chance(10) ? Memory::kUnusable : Memory::kKept;
  engine_.reset();
  const auto survived = store_.Crash(power_lost ? Below(store_.unsynced() + 1) : store_.unsynced(), memory);
  const bool memory_survived = memory == Memory::kKept;
  model_.Crashed(survived.on_disk, memory_survived);
  for (const auto& [seq, entry] : model_.entries()) tally_.kept_in_memory += entry.in_memory ? 1 : 0;
  CheckPromises(power_lost, memory_survived);
  if (power_lost) {  // what was only written may be back, from now on
    std::erase_if(confirmed_acks_,
                  [](const Promised& promised) { return promised.durability == Durability::kRelaxed; });
  }
  ++tally_.crashes;
  confirmed_.clear();
  if (Chance(30)) now_ += milliseconds(Below(1000));
  next_due_ = kNever;
  StartBroker();
}

// Nothing confirmed is lost, nothing whose ack was confirmed comes back.
void EngineSimulation::CheckPromises(bool power_lost, bool memory_survived) const {
  const auto holds = [&](const Promised& promised) {
    if (promised.durability == Durability::kMemory) return memory_survived;
    return !power_lost || promised.durability == Durability::kDurable;
  };
  for (const Promised& promised : confirmed_) {
    BATON_CHECK(!holds(promised) || model_.Accepted(promised.producer, promised.sequence))
        << "a confirmed message is lost: " << promised.sequence;
  }
  for (const Promised& promised : confirmed_acks_) {
    BATON_CHECK(!holds(promised) || model_.Find(promised.message) == nullptr)
        << "an acked message came back: " << promised.message;
  }
}

void EngineSimulation::Turn() {
  Engine::Turn turn = engine_->EndTurn(now_);
  BATON_CHECK(turn.failure.ok()) << turn.failure;
  model_.CheckNothingOnItsWay();
  if (turn.number) {
    model_.Committed(turn.number);
    turn.commit.ForEach([this](const Commit::Op& op) {
      digest_.Add(op.key);
      digest_.Add(op.value);
    });
    store_.Submit(turn.number, std::move(turn.commit), turn.promise);
    engine_->OnMemoryRoom(store_.memory_room());
    engine_->OnHandedOver(turn.number);
  }
  model_.next_commit = CommitNumber(store_.submitted().value() + 1);
  for (ReadRequest& read : turn.reads) store_.Read(std::move(read));
  next_due_ = turn.next_due;
  CheckCounts();
  CheckMemory();
}

QueueInfo EngineSimulation::Info(const std::string& queue) {
  const CallId call = NextCall();
  engine_->Handle(GetQueue{.call = call, .name = queue}, now_);
  return infos_.extract(call).mapped();
}

// Messages that nobody holds are in memory as far as there is room, and of each queue that somebody waits for
// one more.
void EngineSimulation::CheckMemory() {
  const CallId call = NextCall();
  engine_->Handle(GetEngineStatus{.call = call}, now_);
  const EngineStatus status = statuses_.extract(call).mapped();
  const size_t one = 2 * kLargeBody;
  BATON_CHECK_LE(status.resident_bytes, window_bytes_ + status.leased_bytes + queues_.size() * one);
}

// ---- Outputs.

void EngineSimulation::Send(Command command) {
  if (options_.print)
    std::fprintf(stderr, "t=%lld command %zu\n", static_cast<long long>(ToMicros(now_)), command.index());
  engine_->Handle(std::move(command), now_);
}

void EngineSimulation::SessionOpened(SessionId session, uint64_t accepted_sequence) {
  digest_.Add({1, session.value(), accepted_sequence});
}
void EngineSimulation::Subscribed(SessionId session, SubscriptionId subscription, absl::StatusOr<Duration>) {
  digest_.Add({2, session.value(), subscription.value()});
}
void EngineSimulation::SubscriptionEnded(SessionId session, SubscriptionId subscription, absl::Status) {
  digest_.Add({3, session.value(), subscription.value()});
}
void EngineSimulation::EndSession(SessionId session, absl::Status) { digest_.Add({4, session.value()}); }

void EngineSimulation::Deliver(SessionId session, const DeliveryView& delivery) {
  digest_.Add({5, session.value(), delivery.tag, delivery.id.seq.value()});
  const BrokerModel::Entry* entry = model_.Find(delivery.id.seq);
  BATON_CHECK(entry != nullptr && entry->state == BrokerModel::State::kLeased);
  BATON_CHECK_EQ(entry->body, delivery.body);
  BATON_CHECK_EQ(entry->attempts + 1, delivery.attempt);
  BATON_CHECK(delivery.redelivered == (delivery.attempt > 1 || EpochOf(delivery.id.seq) < epoch_));
  for (Client& client : clients_) {
    if (client.session != session) continue;
    client.holds.emplace(delivery.tag, held_.size());
    held_.push_back(
        {.session = session,
         .tag = delivery.tag,
         .token = {
             .epoch = epoch_, .delivery = delivery.number, .attempt = delivery.attempt, .id = delivery.id}});
    return;
  }
  BATON_CHECK(false) << "a delivery to a session that is closed";
}

// Commits up to this one are as safe as such a queue promises.
CommitNumber EngineSimulation::Done(Durability durability) const {
  if (durability == Durability::kMemory) return store_.submitted();
  return durability == Durability::kDurable ? store_.synced() : store_.written();
}

void EngineSimulation::Confirm(SessionId session, ConfirmRun run) {
  digest_.Add({6, session.value(), run.first, run.last});
  for (Client& client : clients_) {
    if (client.session != session) continue;
    for (uint64_t sequence = run.first; sequence <= run.last; ++sequence) {
      const bool failed = std::any_of(run.failures.begin(), run.failures.end(),
                                      [&](auto& f) { return f.sequence == sequence; });
      const bool duplicate = std::count(run.duplicates.begin(), run.duplicates.end(), sequence) != 0;
      client.unconfirmed.erase(sequence);
      if (failed) continue;
      BATON_CHECK(model_.Accepted(client.producer, sequence));
      confirmed_.push_back(
          {.message = {}, .producer = client.producer, .sequence = sequence, .durability = run.durability});
      if (duplicate) continue;
      const auto id = MessageId::FromBytes(
          std::string_view(run.ids).substr((sequence - run.first) * MessageId::kBytes, MessageId::kBytes));
      const CommitNumber commit = model_.published_with(id->seq);
      BATON_CHECK_LE(commit, Done(run.durability)) << "confirmed before its promise holds";
    }
  }
}

void EngineSimulation::Settled(SessionId session, uint64_t through, std::vector<SettleFailure> failures) {
  digest_.Add({7, session.value(), through, failures.size()});
  CheckFailures(session, failures);
  for (Client& client : clients_) {
    if (client.session != session) continue;
    BATON_CHECK_GT(through, client.settled_through);
    BATON_CHECK(ending_ || through <= client.settlements);
    client.settled_through = through;
    for (auto at = client.acks.begin(); at != client.acks.end() && at->first <= through;
         at = client.acks.erase(at)) {
      for (const Acked& acked : at->second) {
        const bool failed = std::any_of(failures.begin(), failures.end(), [&](auto& f) {
          return f.settlement == at->first && f.tag == acked.tag;
        });
        if (failed) continue;
        BATON_CHECK(model_.Find(acked.message) == nullptr) << "acked, yet there: " << acked.message;
        const bool in_memory = acked.durability == Durability::kMemory;
        BATON_CHECK_LE(model_.acked_with(acked.message),
                       Done(in_memory ? Durability::kMemory : Durability::kRelaxed))
            << "an ack was confirmed before it was stored";
        confirmed_acks_.push_back(
            {.message = acked.message, .producer = {}, .sequence = 0, .durability = acked.durability});
      }
    }
  }
}

void EngineSimulation::Answer(CallId call, absl::StatusOr<Reply> reply) {
  digest_.Add({8, call.value(), static_cast<uint64_t>(reply.status().code())});
  CheckAnswer(call, reply);
  if (!reply.ok()) {
    BATON_CHECK(reply.status().code() != absl::StatusCode::kInternal) << reply.status();
    return;
  }
  if (auto* info = std::get_if<QueueInfo>(&*reply)) {
    infos_.emplace(call, std::move(*info));
  } else if (auto* status = std::get_if<EngineStatus>(&*reply)) {
    statuses_.emplace(call, std::move(*status));
  } else if (auto* received = std::get_if<ReceiveReply>(&*reply)) {
    for (const ReceivedMessage& message : received->messages) {
      held_.push_back({.session = {}, .tag = 0, .token = message.token});
    }
  }
}

}  // namespace baton

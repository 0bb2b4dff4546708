#include "tests/support/engine_fixture.h"

#include <algorithm>

#include "base/check.h"
#include "server/engine/session_state.h"

namespace baton {
namespace {

Delivery FromReceived(ReceivedMessage message) {
  return {.token = message.token,
          .attempt = message.token.attempt,
          .tag = 0,
          .subscription = {},
          .priority = message.priority,
          .redelivered = message.redelivered,
          .published = message.published,
          .lease_end = message.lease_end,
          .producer = message.producer,
          .sequence = message.sequence,
          .headers = std::move(message.headers),
          .body = std::move(message.body)};
}

}  // namespace

std::vector<std::string> BodiesOf(const std::vector<Delivery>& deliveries) {
  std::vector<std::string> bodies;
  for (const Delivery& delivery : deliveries) bodies.push_back(delivery.body);
  return bodies;
}

std::vector<std::string> BodiesOf(const MessagePage& page) {
  std::vector<std::string> bodies;
  for (const MessageInfo& message : page.messages) bodies.push_back(message.body);
  return bodies;
}

EngineFixture::EngineFixture(const QueueConfigPatch& orders, const EngineFixtureOptions& options)
    : options_(options) {
  StartEngine();
  const absl::Status created = Create("orders", orders);
  BATON_CHECK(created.ok()) << created;
}

EngineFixture::~EngineFixture() = default;

// ---- A life begins, and ends.

void EngineFixture::StartEngine() {
  epoch_ = Epoch(epoch_.value() + 1);
  EngineOptions engine_options{.epoch = epoch_,
                               .chunk_rows = options_.chunk_rows,
                               .uncommitted_bytes_max = options_.uncommitted_bytes_max,
                               .purge_share = options_.purge_share,
                               .turn_commit_bytes = options_.turn_commit_bytes};
  if (options_.unsettled > 0) engine_options.unsettled_bytes_max = options_.unsettled * kUnsettledBytes;
  if (options_.window_messages != 0)
    engine_options.window_bytes = options_.window_messages * (sizeof(Message) + 180);
  if (options_.window_bytes != 0) engine_options.window_bytes = options_.window_bytes;
  engine_options.leased_bytes_max =
      options_.leased_messages != 0 ? options_.leased_messages * (sizeof(Message) + 180) : SIZE_MAX;
  engine_options.make_memory_room = [this](size_t bytes, size_t, MemoryRoom& room) {
    room = memory_room_;
    return bytes <= room.grow ? absl::OkStatus() : absl::ResourceExhaustedError("shared memory is full");
  };
  engine_ = std::make_unique<Engine>(engine_options, static_cast<Outputs*>(this));
  engine_->OnMemoryRoom(memory_room_);
  rows_loaded_ = rows_read_ = reads_started_ = 0;
  reported_written_ = reported_synced_ = CommitNumber();
  const absl::Status loaded = engine_->Load([this](RowKind kind, const Engine::Visit& visit) {
    return store_.Scan(kind, [&](std::string_view key, std::string_view value) {
      ++rows_loaded_;
      return visit(key, value);
    });
  });
  BATON_CHECK(loaded.ok()) << loaded;
  engine_->Start(now_);
  ComeToRest();
}

void EngineFixture::Restart(Duration downtime) {
  engine_.reset();
  store_.Crash(store_.unsynced());
  sessions_.clear();
  settlements_.clear();
  now_ += downtime;
  StartEngine();
}

void EngineFixture::RestartWith(const std::function<void(Commit&)>& add_rows) {
  engine_.reset();
  store_.Crash(store_.unsynced());
  Commit commit;
  add_rows(commit);
  store_.Submit(CommitNumber(1), std::move(commit), Promise::kSynced);
  store_.WriteOne();
  Restart();
}

void EngineFixture::LosePower() {
  engine_.reset();
  store_.Crash(0);
  sessions_.clear();
  settlements_.clear();
  StartEngine();
}

// ---- Time and the store.

void EngineFixture::Send(Command command) {
  engine_->Handle(std::move(command), now_);
  ComeToRest();
}

bool EngineFixture::Move() {
  if (!held_.contains(Work::kWrites)) {
    while (store_.unwritten() > 0) store_.WriteOne();
  }
  if (!held_.contains(Work::kSyncs)) store_.Sync();
  bool moved = store_.written() != reported_written_ || store_.synced() != reported_synced_;
  reported_written_ = store_.written();
  reported_synced_ = store_.synced();
  if (moved) engine_->OnProgress(reported_written_, reported_synced_, now_);
  if (held_.contains(Work::kReads)) return moved;
  while (store_.LookOne()) {
  }
  if (held_.contains(Work::kAnswers)) return moved;
  if (auto answer = store_.TakeAnswer()) {  // one a turn
    moved = true;
    rows_read_ += answer->rows.size();
    engine_->OnRead(*std::move(answer), now_);
  }
  return moved;
}

void EngineFixture::ComeToRest() {
  for (int round = 0;; ++round) {
    BATON_CHECK_LT(round, 100'000) << "the engine does not come to rest";
    Engine::Turn turn = engine_->EndTurn(now_);
    BATON_CHECK(turn.failure.ok()) << turn.failure;
    damage_.insert(damage_.end(), turn.damage.begin(), turn.damage.end());
    warnings_.insert(warnings_.end(), turn.warnings.begin(), turn.warnings.end());
    largest_commit_ = std::max(largest_commit_, turn.commit.bytes());
    held_back_ = turn.held_back;
    if (turn.number) {
      store_.Submit(turn.number, std::move(turn.commit), turn.promise);
      engine_->OnHandedOver(turn.number);
    }
    reads_started_ += turn.reads.size();
    for (ReadRequest& read : turn.reads) store_.Read(std::move(read));
    next_due_ = turn.next_due;
    if (!Move()) break;
  }
  BATON_CHECK(next_due_ > now_) << "the engine would spin: nothing moves, and it wants another turn at once";
}

void EngineFixture::StepClock(Duration by) {
  now_ += by;
  engine_->OnClockMoved(by, now_);
  ComeToRest();
}

void EngineFixture::Advance(Duration duration) {
  const Instant until = now_ + duration;
  while (next_due_ <= until) {
    now_ = next_due_;
    ComeToRest();
  }
  now_ = until;
  ComeToRest();
}

void EngineFixture::Hold(Work work) { held_.insert(work); }

void EngineFixture::LetGo(Work work) {
  held_.erase(work);
  ComeToRest();
}

void EngineFixture::SetDisk(DiskState disk) { engine_->OnDiskState(disk); }

bool EngineFixture::SetMemoryRoom(const MemoryRoom& room) {
  memory_room_ = room;
  const bool another_turn = engine_->OnMemoryRoom(room);
  ComeToRest();
  return another_turn;
}

absl::StatusOr<Reply> EngineFixture::TakeAnswer(CallId call) {
  auto found = answers_.extract(call);
  BATON_CHECK(!found.empty()) << "call " << call << " is not answered";
  return std::move(found.mapped());
}

// ---- Queues.

absl::Status EngineFixture::Create(const std::string& queue, const QueueConfigPatch& config) {
  return Ask<QueueInfo>(CreateQueue{.call = {}, .name = queue, .config = config}).status();
}

absl::Status EngineFixture::Update(const std::string& queue, const QueueConfigPatch& config) {
  return Ask<QueueInfo>(UpdateQueue{.call = {}, .name = queue, .config = config, .paused = {}}).status();
}

void EngineFixture::Pause(const std::string& queue) {
  const auto info = Ask<QueueInfo>(UpdateQueue{.call = {}, .name = queue, .config = {}, .paused = true});
  BATON_CHECK(info.value().paused);
}

void EngineFixture::Resume(const std::string& queue) {
  const auto info = Ask<QueueInfo>(UpdateQueue{.call = {}, .name = queue, .config = {}, .paused = false});
  BATON_CHECK(!info.value().paused);
}

uint64_t EngineFixture::Purge(const std::string& queue) {
  return Ask<MessageCount>(PurgeQueue{.call = {}, .name = queue}).value().messages;
}

uint64_t EngineFixture::Delete(const std::string& queue) {
  return Ask<MessageCount>(DeleteQueue{.call = {}, .name = queue}).value().messages;
}

QueueInfo EngineFixture::Queue(const std::string& queue) {
  return Ask<QueueInfo>(GetQueue{.call = {}, .name = queue}).value();
}

EngineStatus EngineFixture::Status() { return Ask<EngineStatus>(GetEngineStatus{}).value(); }

// ---- Messages, by calls.

PublishResult EngineFixture::TryPublish(const std::string& queue, const std::string& body,
                                        const PublishOptions& options) {
  auto reply = Ask<PublishReply>(baton::Publish{.session = {},
                                                .call = {},
                                                .queue = queue,
                                                .producer = options.producer,
                                                .first_sequence = options.sequence,
                                                .want_ids = true,
                                                .messages = {{.priority = options.priority,
                                                              .ttl = options.ttl,
                                                              .delay = options.delay,
                                                              .headers = options.headers,
                                                              .body = body}}});
  return reply.value().results.at(0);
}

MessageId EngineFixture::Publish(const std::string& queue, const std::string& body,
                                 const PublishOptions& options) {
  const PublishResult result = TryPublish(queue, body, options);
  BATON_CHECK(result.status.ok()) << result.status;
  BATON_CHECK(!result.duplicate);
  return result.id;
}

void EngineFixture::PublishMany(const std::string& queue, int count, const PublishOptions& options) {
  for (int i = 0; i < count; ++i) Publish(queue, std::to_string(i), options);
}

std::vector<Delivery> EngineFixture::ReceiveMany(const std::string& queue, const ReceiveOptions& options) {
  auto reply = Ask<ReceiveReply>(baton::Receive{.call = {},
                                                .queue = queue,
                                                .messages_max = options.messages_max,
                                                .bytes_max = options.bytes_max,
                                                .wait = options.wait,
                                                .lease = options.lease});
  std::vector<Delivery> deliveries;
  for (ReceivedMessage& message : reply.value().messages)
    deliveries.push_back(FromReceived(std::move(message)));
  return deliveries;
}

std::optional<Delivery> EngineFixture::Receive(const std::string& queue, Duration lease) {
  std::vector<Delivery> deliveries = ReceiveMany(queue, {.lease = lease});
  if (deliveries.empty()) return std::nullopt;
  return std::move(deliveries.front());
}

std::vector<std::string> EngineFixture::Drain(const std::string& queue) {
  std::vector<std::string> bodies;
  while (auto delivery = Receive(queue)) {
    const absl::Status acked = Ack(*delivery);
    BATON_CHECK(acked.ok()) << acked;
    bodies.push_back(std::move(delivery->body));
  }
  return bodies;
}

absl::Status EngineFixture::Settle(const LeaseToken& token, const Settlement& settlement) {
  return Ask<SettleReply>(SettleTokens{.call = {}, .settlement = settlement, .tokens = {token}})
      .value()
      .results.at(0);
}

absl::Status EngineFixture::Ack(const Delivery& delivery) { return Settle(delivery.token, {}); }

absl::Status EngineFixture::Nack(const Delivery& delivery, std::optional<Duration> delay,
                                 const std::string& reason) {
  return Settle(delivery.token,
                {.kind = SettleKind::kNack, .delay = delay, .lease = Duration(0), .reason = reason});
}

absl::Status EngineFixture::Release(const Delivery& delivery) {
  return Settle(delivery.token, {.kind = SettleKind::kRelease, .delay = {}, .reason = {}});
}

absl::Status EngineFixture::Extend(const Delivery& delivery, Duration lease) {
  return Settle(delivery.token, {.kind = SettleKind::kExtend, .delay = {}, .lease = lease, .reason = {}});
}

absl::Status EngineFixture::DeadLetter(const Delivery& delivery, const std::string& reason) {
  return Settle(delivery.token, {.kind = SettleKind::kDeadLetter, .delay = {}, .reason = reason});
}

absl::StatusOr<MessageInfo> EngineFixture::Get(const MessageId& id) {
  return Ask<MessageInfo>(GetMessage{.call = {}, .id = id});
}

absl::Status EngineFixture::DeleteMessage(const MessageId& id) {
  return Ask<Done>(baton::DeleteMessage{.call = {}, .id = id}).status();
}

MessagePage EngineFixture::List(const std::string& queue, MessageState state, size_t limit,
                                const std::optional<MessageKeyParts>& after) {
  return Ask<MessagePage>(
             ListMessages{.call = {}, .queue = queue, .state = state, .after = after, .limit = limit})
      .value();
}

// ---- Sessions.

SessionId EngineFixture::Connect(ProducerId producer) {
  const SessionId session(++last_session_);
  Send(OpenSession{.session = session, .client_name = "a test", .peer = "here", .producer = producer});
  BATON_CHECK(sessions_.contains(session));
  return session;
}

void EngineFixture::Disconnect(SessionId session) { Send(CloseSession{.session = session}); }

SubscriptionId EngineFixture::Subscribe(SessionId session, const std::string& queue,
                                        const SubscribeOptions& options) {
  const SubscriptionId subscription(++last_subscription_);
  Send(baton::Subscribe{.session = session,
                        .subscription = subscription,
                        .queue = queue,
                        .lease = options.lease,
                        .credit_messages = options.credit_messages,
                        .credit_bytes = options.credit_bytes});
  return subscription;
}

void EngineFixture::PublishBatch(SessionId session, const std::string& queue, uint64_t first_sequence,
                                 const std::vector<std::string>& bodies) {
  baton::Publish publish{.session = session,
                         .call = {},
                         .queue = queue,
                         .producer = {},
                         .first_sequence = first_sequence,
                         .want_ids = true,
                         .messages = {}};
  for (const std::string& body : bodies) publish.messages.push_back({.headers = {}, .body = body});
  Send(std::move(publish));
}

std::vector<Delivery> EngineFixture::Take(SessionId session) {
  return std::exchange(sessions_.at(session).deliveries, {});
}

uint64_t EngineFixture::SettleTags(SessionId session, std::vector<TagRange> tags,
                                   const Settlement& settlement) {
  Send(baton::SettleTags{.session = session, .settlement = settlement, .tags = std::move(tags)});
  return ++settlements_[session];
}

// ---- Outputs.

void EngineFixture::SessionOpened(SessionId session, uint64_t accepted_sequence) {
  sessions_[session].accepted_sequence = accepted_sequence;
}

void EngineFixture::Subscribed(SessionId session, SubscriptionId subscription,
                               absl::StatusOr<Duration> lease) {
  sessions_[session].subscribed.insert_or_assign(subscription, std::move(lease));
}

void EngineFixture::SubscriptionEnded(SessionId session, SubscriptionId subscription, absl::Status why) {
  sessions_[session].ended.insert_or_assign(subscription, std::move(why));
}

void EngineFixture::Deliver(SessionId session, const DeliveryView& view) {
  sessions_[session].deliveries.push_back(
      {.token = {.epoch = epoch_, .delivery = view.number, .attempt = view.attempt, .id = view.id},
       .attempt = view.attempt,
       .tag = view.tag,
       .subscription = view.subscription,
       .priority = view.priority,
       .redelivered = view.redelivered,
       .published = view.published,
       .lease_end = view.lease_end,
       .producer = view.producer,
       .sequence = view.sequence,
       .headers = std::string(view.headers),
       .body = std::string(view.body)});
}

void EngineFixture::Confirm(SessionId session, ConfirmRun run) {
  sessions_[session].confirms.push_back(std::move(run));
}

void EngineFixture::Settled(SessionId session, uint64_t through, std::vector<SettleFailure> failures) {
  SessionLog& log = sessions_[session];
  BATON_CHECK_GT(through, log.settled_through);
  log.settled_through = through;
  for (SettleFailure& failure : failures) log.settle_failures.push_back(std::move(failure));
}

void EngineFixture::EndSession(SessionId session, absl::Status why) {
  sessions_[session].end = std::move(why);
}

void EngineFixture::Answer(CallId call, absl::StatusOr<Reply> reply) {
  const bool first = answers_.emplace(call, std::move(reply)).second;
  BATON_CHECK(first) << "call " << call << " is answered twice";
}

}  // namespace baton

#include "tests/stress/fuzz_core.h"

#include <utility>

#include "server/engine/queue_record.h"

namespace baton {
namespace {

// So small that messages of a few bytes come and go.
constexpr size_t kWindowBytes = 2'000;
constexpr size_t kChunkRows = 3;
constexpr int kTurnsMax = 100'000;

constexpr MemoryRoom kPlenty{
    .grow = SIZE_MAX, .rewrite = SIZE_MAX, .remove = SIZE_MAX, .largest = SIZE_MAX, .index_bytes = 0};

}  // namespace

FuzzCore::FuzzCore() {
  facts_.version = "fuzzed";
  facts_.epoch = Epoch(1);
  facts_.time = &time_;
  facts_.inbox = &inbox_;
  facts_.outbox_bytes.bytes_max = 1u << 30;
  Start();
}

void FuzzCore::Start() {
  router_ = std::make_unique<OutputRouter>();
  EngineOptions options;
  options.epoch = facts_.epoch;
  options.window_bytes = kWindowBytes;
  options.chunk_rows = kChunkRows;
  options.make_memory_room = [](size_t, size_t, MemoryRoom& room) {
    room = kPlenty;
    return absl::OkStatus();
  };
  engine_ = std::make_unique<Engine>(options, router_.get());
  engine_->OnMemoryRoom(kPlenty);
  written_ = {};
  const absl::Status loaded =
      engine_->Load([this](RowKind kind, const Engine::Visit& visit) { return store_.Scan(kind, visit); });
  stopped_ = !loaded.ok();
  BATON_CHECK(loaded.ok() || damaged_) << loaded;
  if (stopped_) return;
  engine_->Start(now_);
  ComeToRest();
}

void FuzzCore::RestartDamaged(const std::function<void(FakeStore::Rows&)>& damage) {
  session_.reset();
  Inbox::Batch left;
  inbox_.Take(left);
  engine_.reset();
  store_.Crash(store_.unsynced());
  store_.Tamper(damage);
  damaged_ = true;
  facts_.epoch = Epoch(facts_.epoch.value() + 1);
  Start();
}

void FuzzCore::Say(v1::ClientFrame frame) {
  if (stopped_) return;
  if (session_ == nullptr) {
    session_ = std::make_shared<ClientSession>(&facts_, "fuzz", [](SessionId) {});
    frame.mutable_hello()->set_protocol_version(1);
  }
  session_->OnFrame(frame);
  TakePosts();
  v1::ServerFrame told;
  while (session_->TakeFrame(told)) {
    told.Clear();
    TakePosts();
  }
  if (session_->IsOver()) session_.reset();
}

void FuzzCore::Disconnect() {
  if (session_ == nullptr) return;
  session_->Lost();
  session_.reset();
  TakePosts();
}

void FuzzCore::TakePosts() {
  Inbox::Batch batch;
  inbox_.Take(batch);
  for (Post& post : batch.posts) {
    if (stopped_) return;
    if (auto* session = std::get_if<std::shared_ptr<SessionRecipient>>(&post.recipient))
      router_->AddSession(std::get<OpenSession>(post.command).session, std::move(*session));
    const auto* closing = std::get_if<CloseSession>(&post.command);
    const SessionId closed = closing != nullptr ? closing->session : SessionId();
    engine_->Handle(std::move(post.command), now_);
    if (closed) router_->RemoveSession(closed);
  }
  ComeToRest();
}

std::shared_ptr<FuzzCore::Waiting> FuzzCore::Ask(CallId call, Command command) {
  auto answer = std::make_shared<Waiting>();
  router_->AddCall(call, answer);
  engine_->Handle(std::move(command), now_);
  ComeToRest();
  return answer;
}

void FuzzCore::Advance(Duration duration) {
  if (stopped_) return;
  now_ += duration;
  ComeToRest();
}

void FuzzCore::ComeToRest() {
  for (int turns = 0; !stopped_; ++turns) {
    BATON_CHECK(turns < kTurnsMax) << "it does not come to rest";
    Engine::Turn turn = engine_->EndTurn(now_);
    router_->Flush();
    if (!turn.failure.ok()) {
      BATON_CHECK(damaged_) << turn.failure;
      stopped_ = true;
      return;
    }
    bool goes_on = turn.next_due <= now_;
    if (turn.number) {
      store_.Submit(turn.number, std::move(turn.commit), turn.promise);
      goes_on = engine_->OnMemoryRoom(kPlenty) || engine_->OnHandedOver(turn.number) || goes_on;
    }
    for (ReadRequest& read : turn.reads) {
      BATON_CHECK(!read.keys.empty() || read.begin <= read.end);
      store_.Read(std::move(read));
    }
    while (store_.unwritten() > 0) store_.WriteOne();
    store_.Sync();
    if (std::exchange(written_, store_.written()) != store_.written()) {
      engine_->OnProgress(store_.written(), store_.synced(), now_);
      goes_on = true;
    }
    while (store_.LookOne()) {
    }
    if (auto answer = store_.TakeAnswer()) {
      engine_->OnRead(*std::move(answer), now_);
      goes_on = true;
    }
    if (!goes_on) return;
  }
}

}  // namespace baton

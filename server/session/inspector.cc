#include "server/session/inspector.h"

#include <future>
#include <memory>
#include <utility>
#include <vector>

#include "base/error.h"

namespace baton {
namespace {

absl::Status NoAnswer() {
  return MakeError(absl::StatusCode::kUnavailable, reason::kBrokerBusy,
                   "the engine's thread does not answer: it is stopping, or stuck");
}

// Shared: an answer may come after its asker has stopped waiting.
class Waiter final : public CallRecipient {
 public:
  void Answer(absl::StatusOr<Reply> reply) override { promise_.set_value(std::move(reply)); }
  std::future<absl::StatusOr<Reply>> future() { return promise_.get_future(); }

 private:
  std::promise<absl::StatusOr<Reply>> promise_;
};

}  // namespace

absl::StatusOr<Reply> BrokerInspector::Ask(Command command) {
  auto waiter = std::make_shared<Waiter>();
  auto answer = waiter->future();
  std::vector<Post> posts;
  posts.push_back({.command = std::move(command), .recipient = std::move(waiter)});
  if (!facts_->inbox->TryPost(posts)) {
    return MakeError(absl::StatusCode::kUnavailable, reason::kBrokerBusy, "the engine's inbox is full");
  }
  if (answer.wait_for(kWaitMax) != std::future_status::ready) return NoAnswer();
  return answer.get();
}

absl::StatusOr<EngineStatus> BrokerInspector::Status() {
  auto reply = Ask(GetEngineStatus{.call = facts_->NextCall()});
  if (!reply.ok()) return reply.status();
  return std::get<EngineStatus>(*std::move(reply));
}

absl::StatusOr<BrokerReport> BrokerInspector::Report() {
  BrokerReport report;
  auto engine = Status();
  if (!engine.ok()) return engine.status();
  report.engine = *std::move(engine);
  auto queues = Ask(ListQueues{.call = facts_->NextCall(), .prefix = {}, .after = {}, .limit = kQueuesMax});
  if (!queues.ok()) return queues.status();
  report.queues = std::get<QueueList>(*std::move(queues));

  auto loop = std::make_shared<std::promise<LoopStats>>();
  auto answer = loop->get_future();
  thread_->AskLoopStats([loop](const LoopStats& stats) { loop->set_value(stats); });
  if (answer.wait_for(kWaitMax) != std::future_status::ready) return NoAnswer();
  report.loop = answer.get();
  report.store = facts_->store->stats();
  report.inbox = facts_->inbox->depth();
  report.outbox_bytes = facts_->outbox_bytes.bytes;
  report.ring_bytes = facts_->ring_bytes;
  return report;
}

}  // namespace baton

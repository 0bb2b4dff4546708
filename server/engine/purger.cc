#include "server/engine/purger.h"

#include <iterator>
#include <optional>
#include <utility>

#include "server/engine/message_rows.h"

namespace baton {
namespace {

constexpr size_t kRowsPerPurgeRead = 1'000;
constexpr size_t kBytesPerPurgeRead = 1u << 20;

uint64_t HeldBy(const Queue& queue) { return queue.stored_count() + queue.ledger.parked.rows; }

}  // namespace

bool Purger::IsLittle(const Queue& queue) const {
  const uint64_t looked_at = queue.is_memory() ? HeldBy(queue) : queue.resident_count();
  return looked_at <= state_.options.purge_share;
}

void Purger::Purge(Queue& queue, Then then) {
  Job job{.queue = queue.number, .messages = 0, .most = HeldBy(queue), .then = std::move(then)};
  if (queue.purges++ == 0 && IsLittle(queue)) {
    Finish(queue, job);
    return;
  }
  Defer(std::make_shared<Job>(std::move(job)));
}

void Purger::Defer(JobPtr job) {
  const QueueId queue = job->queue;
  state_.budget.Defer(Asker::Of(queue), queue, Cost::kRemove,
                      [this, job = std::move(job)](Instant) { return GoOn(job); });
}

bool Purger::GoOn(const JobPtr& job) {
  Queue* queue = state_.FindQueue(job->queue);
  if (queue == nullptr) {
    job->then(nullptr, 0);
    return true;
  }
  const auto is_nearly_done = [&] { return IsLittle(*queue) || job->messages >= job->most; };
  if (!is_nearly_done() && !TakeResident(*queue, *job)) return false;
  if (is_nearly_done()) {
    Finish(*queue, *job);
  } else {
    ReadMore(job);
  }
  return true;
}

// False: there is more than this turn may take.
bool Purger::TakeResident(Queue& queue, Job& job) {
  state_.TouchLedger(queue);
  const auto goes_on = [&] {
    return state_.budget.HasArrows() && state_.budget.Allows(queue.number, Cost::kRemove);
  };
  while (!queue.leased.empty() && goes_on()) TakeOne(*queue.leased.begin()->second, job);
  std::optional<ReadyPosition> ready;
  while (!queue.ready.empty() && goes_on()) {
    Message& last = *std::prev(queue.ready.end())->second;
    ready = last.position();
    TakeOne(last, job);
  }
  if (ready.has_value() && !queue.is_memory()) queue.ready.LowerBoundary(*ready);
  std::optional<DelayedPosition> delayed;
  while (!queue.delayed.empty() && goes_on()) {
    Message& last = *std::prev(queue.delayed.end())->second;
    delayed = last.delayed_position();
    TakeOne(last, job);
  }
  if (delayed.has_value() && !queue.is_memory()) queue.delayed.LowerBoundary(*delayed);
  return queue.resident_count() == 0;
}

// On disk the rows of what waits go as a range, later. (A due one would have to be written again.)
void Purger::TakeOne(Message& message, Job& job) {
  const bool waits = message.state == Message::State::kReady || message.state == Message::State::kDelayed;
  const bool is_due = message.state == Message::State::kReady && message.home == Message::Home::kDelayedRow;
  if (waits && !is_due && !message.queue->is_memory()) {
    state_.budget.Spend();
    life_cycle_.Spill(message);
    return;
  }
  ++job.messages;
  life_cycle_.PurgeOne(message);
}

// Of a memory queue: such as are not resident.
void Purger::ReadMore(const JobPtr& job) {
  const Queue& queue = *state_.FindQueue(job->queue);
  const RowKind kind = queue.ledger.ready.rows > 0     ? RowKind::kReady
                       : queue.ledger.delayed.rows > 0 ? RowKind::kDelayed
                                                       : RowKind::kParked;
  KeyRange range = AllOf(kind, queue.number);
  reads_.Start({.begin = std::move(range.begin),
                .end = std::move(range.end),
                .rows_max = kRowsPerPurgeRead,
                .bytes_max = kBytesPerPurgeRead,
                .companion = queue.ledger.attempt_rows > 0 ? &AttemptsKeyOfRow : nullptr},
               [this, job, removals = queue.removals](const ReadResult& result, Instant) {
                 OnRows(job, removals, result);
               });
}

// What was removed since may be among what was read: then it is read again.
void Purger::OnRows(const JobPtr& job, uint64_t removals, const ReadResult& result) {
  Queue* queue = state_.FindQueue(job->queue);
  if (queue != nullptr && queue->removals == removals) {
    const uint64_t before = job->messages;
    for (const Row& row : result.rows) {
      auto message =
          row.value.has_value() ? MessageFromRow(*queue, row.key, *row.value, row.companion) : nullptr;
      if (message == nullptr || state_.FindResident(message->id.seq) != nullptr) continue;
      TakeOne(life_cycle_.MakeResident(std::move(message)), *job);
    }
    // Of nothing that can be read nothing can be taken: it goes with its range.
    if (job->messages == before) job->messages = job->most;
  }
  Defer(job);
}

void Purger::Finish(Queue& queue, Job& job) {
  sweep_.BeforePurge(queue);
  const uint64_t messages = job.messages + life_cycle_.Purge(queue);
  --queue.purges;
  state_.WantDispatch(queue);
  job.then(&queue, messages);
}

}  // namespace baton

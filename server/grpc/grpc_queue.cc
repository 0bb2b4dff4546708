#include "server/grpc/grpc_queue.h"

#include <grpc/support/time.h>

#include <utility>

#include "base/check.h"

namespace baton {
namespace {

gpr_timespec InSeconds(int64_t seconds) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(seconds, GPR_TIMESPAN));
}

}  // namespace

GrpcQueue::GrpcQueue(std::unique_ptr<grpc::ServerCompletionQueue> queue) : queue_(std::move(queue)) {}

GrpcQueue::~GrpcQueue() { BATON_CHECK(!thread_.joinable()) << "Shutdown was not called"; }

void GrpcQueue::Start(Chores chores) {
  chores_ = std::move(chores);
  second_.Set(queue_.get(), InSeconds(1), &second_tag_);
  thread_ = std::thread([this] { Run(); });
}

void GrpcQueue::Post(Task task) {
  bool ring = false;
  {
    absl::MutexLock lock(&mutex_);
    tasks_.push_back(std::move(task));
    ring = !std::exchange(rung_, true);
  }
  // A deadline that is over: the event is queued before Set returns.
  if (ring) doorbell_.Set(queue_.get(), gpr_inf_past(GPR_CLOCK_MONOTONIC), &doorbell_tag_);
}

void GrpcQueue::Ring() {
  Post([this] { chores_.on_room(); });
}

void GrpcQueue::Run() {
  void* tag = nullptr;
  bool ok = false;
  bool shut_down = false;
  while (queue_->Next(&tag, &ok)) {
    static_cast<GrpcTag*>(tag)->OnEvent(ok);
    // Not before: starting an operation on a queue that was shut down ends the process.
    if (stopping_ && !shut_down && chores_.is_idle()) {
      shut_down = true;
      queue_->Shutdown();
    }
  }
}

void GrpcQueue::OnDoorbell(bool /*ok*/) {
  {
    absl::MutexLock lock(&mutex_);
    std::swap(running_, tasks_);
    rung_ = false;
  }
  for (Task& task : running_) task();
  running_.clear();
}

void GrpcQueue::OnSecond(bool ok) {
  if (!ok || stopping_) return;  // cancelled
  chores_.on_second();
  second_.Set(queue_.get(), InSeconds(1), &second_tag_);
}

void GrpcQueue::Shutdown() {
  Post([this] {
    stopping_ = true;
    second_.Cancel();
  });
  thread_.join();
}

}  // namespace baton

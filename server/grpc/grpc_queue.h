// GrpcQueue is one completion queue and the one thread that owns every call on it: all of a call's events,
// and whatever others ask to have done to it, run there one after another, so calls need no locks.
//
// THREADS: Post and Ring from any; everything else as said. After Shutdown nobody may Post.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/server_builder.h>

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "server/loop/engine_thread.h"

namespace baton {

// What a completion queue gives back when an operation has ended.
class GrpcTag {
 public:
  virtual ~GrpcTag() = default;
  virtual void OnEvent(bool ok) = 0;
};

// Calls `object->*kMethod(ok)`.
template <class T, void (T::*kMethod)(bool)>
class GrpcMemberTag final : public GrpcTag {
 public:
  explicit GrpcMemberTag(T* object) : object_(object) {}
  void OnEvent(bool ok) override { (object_->*kMethod)(ok); }

 private:
  T* const object_;
};

class GrpcQueue final : public Bell {
 public:
  using Task = absl::AnyInvocable<void()>;

  explicit GrpcQueue(std::unique_ptr<grpc::ServerCompletionQueue> queue);
  GrpcQueue(const GrpcQueue&) = delete;
  GrpcQueue& operator=(const GrpcQueue&) = delete;
  ~GrpcQueue() override;

  // What the queue serves; on the queue's thread.
  struct Chores {
    std::function<void()> on_second;  // once a second
    std::function<void()> on_room;    // a full inbox has room again
    std::function<bool()> is_idle;    // no operation is outstanding and none will be started
  };
  void Start(Chores chores);

  // Runs `task` on the queue's thread. Tasks posted while it is busy cost one wake-up together.
  void Post(Task task) ABSL_LOCKS_EXCLUDED(mutex_);
  void Ring() override;

  // REQUIRES: the server has shut down. BLOCKS until the queue is idle and its thread has ended.
  void Shutdown();

  grpc::ServerCompletionQueue* get() { return queue_.get(); }

 private:
  void Run();
  void OnDoorbell(bool ok);
  void OnSecond(bool ok);

  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  Chores chores_;
  std::thread thread_;

  GrpcMemberTag<GrpcQueue, &GrpcQueue::OnDoorbell> doorbell_tag_{this};
  GrpcMemberTag<GrpcQueue, &GrpcQueue::OnSecond> second_tag_{this};
  // An alarm may be set again once its event was taken: `rung_` keeps the doorbell to one event at a time.
  grpc::Alarm doorbell_;
  grpc::Alarm second_;

  absl::Mutex mutex_;
  std::vector<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool rung_ ABSL_GUARDED_BY(mutex_) = false;

  // Queue's thread.
  std::vector<Task> running_;
  bool stopping_ = false;
};

}  // namespace baton

// Health and reflection over gRPC, as generic calls on our own completion queue: the library's own services
// would bring threads of theirs, and with them the library's idle trap (docs/architecture.md).
//
// THREADS: the queue's thread.
#pragma once

#include <grpcpp/generic/async_generic_service.h>

#include <cstddef>
#include <functional>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "server/grpc/grpc_queue.h"

namespace baton {

class GrpcIntrospections;

// One call of a method that is not the Broker's or Admin's. Deletes itself when every operation has come
// back.
class GrpcIntrospection {
 public:
  explicit GrpcIntrospection(GrpcIntrospections* all);
  GrpcIntrospection(const GrpcIntrospection&) = delete;
  GrpcIntrospection& operator=(const GrpcIntrospection&) = delete;
  ~GrpcIntrospection();

  void Accept();
  void End(const absl::Status& why);

 private:
  enum class Method { kUnknown, kHealthCheck, kHealthWatch, kReflection };

  void OnAccepted(bool ok);
  void OnRead(bool ok);
  void OnWrote(bool ok);
  void OnFinished(bool ok);
  void OnDone(bool ok);

  void Read();
  void AnswerHealthCheck();
  void AnswerHealthWatch();
  void AnswerReflectionRequest();
  template <class Message>
  void Write(const Message& message);
  void Finish(const absl::Status& status);
  void Returned();

  GrpcIntrospections* const all_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_{&context_};
  GrpcMemberTag<GrpcIntrospection, &GrpcIntrospection::OnAccepted> accepted_tag_{this};
  GrpcMemberTag<GrpcIntrospection, &GrpcIntrospection::OnRead> read_tag_{this};
  GrpcMemberTag<GrpcIntrospection, &GrpcIntrospection::OnWrote> wrote_tag_{this};
  GrpcMemberTag<GrpcIntrospection, &GrpcIntrospection::OnFinished> finished_tag_{this};
  GrpcMemberTag<GrpcIntrospection, &GrpcIntrospection::OnDone> done_tag_{this};

  Method method_ = Method::kUnknown;
  grpc::ByteBuffer in_;
  int outstanding_ = 0;  // operations that have not come back
  bool writing_ = false;
  bool finishing_ = false;
  bool finish_after_write_ = false;
};

class GrpcIntrospections {
 public:
  static constexpr size_t kCallsMax = 100;

  // `on_gone` is called after each call that has ended.
  GrpcIntrospections(GrpcQueue* queue, grpc::AsyncGenericService* service, std::function<void()> on_gone)
      : queue_(queue), service_(service), on_gone_(std::move(on_gone)) {}

  void AcceptNext();
  void StopAccepting() { stopping_ = true; }
  void EndAll(const absl::Status& why);

  GrpcQueue* queue() const { return queue_; }
  grpc::AsyncGenericService* service() const { return service_; }
  bool stopping() const { return stopping_; }
  void Add(GrpcIntrospection* call) { calls_.insert(call); }
  void Remove(GrpcIntrospection* call);
  size_t size() const { return calls_.size(); }

  // Objects that exist, the one that waits for a client included.
  void NoteBorn() { ++live_; }
  void NoteGone() { --live_; }
  size_t live() const { return live_; }

 private:
  GrpcQueue* const queue_;
  grpc::AsyncGenericService* const service_;
  const std::function<void()> on_gone_;
  absl::flat_hash_set<GrpcIntrospection*> calls_;
  size_t live_ = 0;
  bool stopping_ = false;
};

}  // namespace baton

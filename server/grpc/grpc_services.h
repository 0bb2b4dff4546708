// Everything that one completion queue serves: sessions, the unary calls of both services, health and
// reflection. THREADS: the queue's thread, but for construction.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "baton/v1/admin.grpc.pb.h"
#include "baton/v1/broker.grpc.pb.h"
#include "server/grpc/grpc_call.h"
#include "server/grpc/grpc_introspection.h"
#include "server/grpc/grpc_queue.h"
#include "server/grpc/grpc_session.h"
#include "server/session/broker_facts.h"

namespace baton {

class GrpcServices {
 public:
  struct Registered {
    v1::Broker::AsyncService broker;
    v1::Admin::AsyncService admin;
    grpc::AsyncGenericService others;  // every method that is neither's
  };

  // All of them outlive this object.
  GrpcServices(BrokerFacts* facts, GrpcQueue* queue, Registered* registered);
  GrpcServices(const GrpcServices&) = delete;
  GrpcServices& operator=(const GrpcServices&) = delete;

  // Posts one request of each kind; each that comes posts the next.
  void Accept();
  // Nothing new is taken in; what is under way goes on.
  void StopAccepting();
  // Ends what is under way, with this reason.
  void EndAll(const absl::Status& why);
  void OnSecond() {
    sessions_.OnSecond();
    calls_.OnSecond();
  }
  void OnRoom();
  // Calls `done`, once, when nothing is under way any more: at once, or after what is has ended.
  void WhenDrained(std::function<void()> done);
  // Nothing of a call is left, not even one that waits for a client: only once the server has shut down.
  bool IsIdle() const { return sessions_.live() == 0 && calls_.live() == 0 && introspections_.live() == 0; }

 private:
  Registered* const registered_;
  void CheckDrained();

  GrpcSessions sessions_;
  GrpcCalls calls_;
  GrpcIntrospections introspections_;
  std::function<void()> drained_;
};

}  // namespace baton

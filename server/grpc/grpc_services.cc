#include "server/grpc/grpc_services.h"

#include <utility>

#include "server/grpc/admin_methods.h"
#include "server/grpc/broker_methods.h"

namespace baton {
namespace {

using Broker = v1::Broker::AsyncService;
using Admin = v1::Admin::AsyncService;

template <class Method, auto kRequest>
using BrokerCall = GrpcUnaryCall<Broker, Method, kRequest>;
template <class Method, auto kRequest>
using AdminCall = GrpcUnaryCall<Admin, Method, kRequest>;

}  // namespace

GrpcServices::GrpcServices(BrokerFacts* facts, GrpcQueue* queue, Registered* registered)
    : registered_(registered),
      sessions_(facts, queue, &registered->broker, [this] { CheckDrained(); }),
      calls_(facts, queue, [this] { CheckDrained(); }),
      introspections_(queue, &registered->others, [this] { CheckDrained(); }) {}

void GrpcServices::Accept() {
  sessions_.AcceptNext();
  introspections_.AcceptNext();
  Broker* const broker = &registered_->broker;
  Admin* const admin = &registered_->admin;
  BrokerCall<PublishMethod, &Broker::RequestPublish>::Accept(&calls_, broker);
  BrokerCall<ReceiveMethod, &Broker::RequestReceive>::Accept(&calls_, broker);
  BrokerCall<SettleMethod<v1::AckRequest>, &Broker::RequestAck>::Accept(&calls_, broker);
  BrokerCall<SettleMethod<v1::NackRequest>, &Broker::RequestNack>::Accept(&calls_, broker);
  BrokerCall<SettleMethod<v1::ReleaseRequest>, &Broker::RequestRelease>::Accept(&calls_, broker);
  BrokerCall<SettleMethod<v1::ExtendRequest>, &Broker::RequestExtend>::Accept(&calls_, broker);

  AdminCall<CreateQueueMethod, &Admin::RequestCreateQueue>::Accept(&calls_, admin);
  AdminCall<UpdateQueueMethod, &Admin::RequestUpdateQueue>::Accept(&calls_, admin);
  AdminCall<DeleteQueueMethod, &Admin::RequestDeleteQueue>::Accept(&calls_, admin);
  AdminCall<GetQueueMethod, &Admin::RequestGetQueue>::Accept(&calls_, admin);
  AdminCall<ListQueuesMethod, &Admin::RequestListQueues>::Accept(&calls_, admin);
  AdminCall<PurgeQueueMethod, &Admin::RequestPurgeQueue>::Accept(&calls_, admin);
  AdminCall<ListMessagesMethod, &Admin::RequestListMessages>::Accept(&calls_, admin);
  AdminCall<GetMessageMethod, &Admin::RequestGetMessage>::Accept(&calls_, admin);
  AdminCall<DeleteMessageMethod, &Admin::RequestDeleteMessage>::Accept(&calls_, admin);
  AdminCall<GetStatusMethod, &Admin::RequestGetStatus>::Accept(&calls_, admin);
}

void GrpcServices::StopAccepting() {
  sessions_.StopReading();
  calls_.StopAccepting();
  introspections_.StopAccepting();
}

void GrpcServices::EndAll(const absl::Status& why) {
  sessions_.EndAll(why);
  calls_.AbandonAll(why);
  introspections_.EndAll(why);
}

void GrpcServices::WhenDrained(std::function<void()> done) {
  drained_ = std::move(done);
  CheckDrained();
}

void GrpcServices::CheckDrained() {
  const bool drained = sessions_.size() == 0 && calls_.size() == 0 && introspections_.size() == 0;
  if (drained && drained_) std::exchange(drained_, nullptr)();
}

void GrpcServices::OnRoom() {
  sessions_.OnRoom();
  calls_.OnRoom();
}

}  // namespace baton

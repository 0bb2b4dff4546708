#include "server/grpc_services.h"

#include <utility>

#include "server/admin_methods.h"
#include "server/broker_methods.h"

namespace baton {
namespace {

using Broker = v1::Broker::AsyncService;
using Admin = v1::Admin::AsyncService;

template <class Method, auto kRequest>
using BrokerCall = GrpcUnaryCall<Broker, Method, kRequest>;
template <class Method, auto kRequest>
using AdminCall = GrpcUnaryCall<Admin, Method, kRequest>;

}  // namespace

GrpcServices::GrpcServices(BrokerFacts* facts, GrpcQueue* queue, v1::Broker::AsyncService* broker,
                           v1::Admin::AsyncService* admin)
    : broker_(broker),
      admin_(admin),
      sessions_(facts, queue, broker, [this] { CheckDrained(); }),
      calls_(facts, queue, [this] { CheckDrained(); }) {}

void GrpcServices::Accept() {
  sessions_.AcceptNext();
  BrokerCall<PublishMethod, &Broker::RequestPublish>::Accept(&calls_, broker_);
  BrokerCall<ReceiveMethod, &Broker::RequestReceive>::Accept(&calls_, broker_);
  BrokerCall<SettleMethod<v1::AckRequest>, &Broker::RequestAck>::Accept(&calls_, broker_);
  BrokerCall<SettleMethod<v1::NackRequest>, &Broker::RequestNack>::Accept(&calls_, broker_);
  BrokerCall<SettleMethod<v1::ReleaseRequest>, &Broker::RequestRelease>::Accept(&calls_, broker_);
  BrokerCall<SettleMethod<v1::ExtendRequest>, &Broker::RequestExtend>::Accept(&calls_, broker_);

  AdminCall<CreateQueueMethod, &Admin::RequestCreateQueue>::Accept(&calls_, admin_);
  AdminCall<UpdateQueueMethod, &Admin::RequestUpdateQueue>::Accept(&calls_, admin_);
  AdminCall<DeleteQueueMethod, &Admin::RequestDeleteQueue>::Accept(&calls_, admin_);
  AdminCall<GetQueueMethod, &Admin::RequestGetQueue>::Accept(&calls_, admin_);
  AdminCall<ListQueuesMethod, &Admin::RequestListQueues>::Accept(&calls_, admin_);
  AdminCall<PurgeQueueMethod, &Admin::RequestPurgeQueue>::Accept(&calls_, admin_);
  AdminCall<ListMessagesMethod, &Admin::RequestListMessages>::Accept(&calls_, admin_);
  AdminCall<GetMessageMethod, &Admin::RequestGetMessage>::Accept(&calls_, admin_);
  AdminCall<DeleteMessageMethod, &Admin::RequestDeleteMessage>::Accept(&calls_, admin_);
  AdminCall<GetStatusMethod, &Admin::RequestGetStatus>::Accept(&calls_, admin_);
}

void GrpcServices::StopAccepting() {
  sessions_.StopReading();
  calls_.StopAccepting();
}

void GrpcServices::EndAll(const absl::Status& why) {
  sessions_.EndAll(why);
  calls_.AbandonAll(why);
}

void GrpcServices::WhenDrained(std::function<void()> done) {
  drained_ = std::move(done);
  CheckDrained();
}

void GrpcServices::CheckDrained() {
  if (sessions_.size() == 0 && calls_.size() == 0 && drained_) std::exchange(drained_, nullptr)();
}

void GrpcServices::OnRoom() {
  sessions_.OnRoom();
  calls_.OnRoom();
}

}  // namespace baton

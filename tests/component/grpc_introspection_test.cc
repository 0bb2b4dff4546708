// Health and reflection as the usual tools ask for them, on TCP and on the local socket.
#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <chrono>
#include <string>
#include <vector>

#include "baton/client.h"
#include "baton/v1/introspection.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/broker_process.h"

namespace baton {
namespace {

using testing::ElementsAre;

constexpr std::chrono::seconds kPatience{30};

// One bidirectional or server-streaming call of any method, one step at a time.
template <class Request, class Reply>
class StreamCall {
 public:
  StreamCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method) : stub_(channel) {
    context_.set_deadline(std::chrono::system_clock::now() + kPatience);
    stream_ = stub_.PrepareCall(&context_, method, &queue_);
    stream_->StartCall(this);
    Step();
  }
  ~StreamCall() {
    context_.TryCancel();
    stream_->Finish(&status_, this);
    Step();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  Reply Ask(const Request& request) {
    Reply reply;
    stream_->Write(request, this);
    EXPECT_TRUE(Step());
    stream_->Read(&reply, this);
    EXPECT_TRUE(Step()) << "the call ended without a reply";
    return reply;
  }

 private:
  bool Step() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }

  grpc::TemplatedGenericStub<Request, Reply> stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<Request, Reply>> stream_;
  grpc::Status status_;
};

using Reflection = StreamCall<v1::ReflectionRequest, v1::ReflectionReply>;

grpc::Status CheckHealth(const std::shared_ptr<grpc::Channel>& channel, const std::string& service,
                         v1::HealthReply* reply, const std::string& method = "/grpc.health.v1.Health/Check") {
  grpc::TemplatedGenericStub<v1::HealthRequest, v1::HealthReply> stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  v1::HealthRequest request;
  request.set_service(service);
  grpc::CompletionQueue queue;
  auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  grpc::Status status;
  call->Finish(reply, &status, &queue);
  void* tag = nullptr;
  bool ok = false;
  EXPECT_TRUE(queue.Next(&tag, &ok) && ok);
  return status;
}

class GrpcIntrospectionTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    ASSERT_EQ(broker_.Start(), "");
    auto client = Client::Connect({.url = broker_.url()});
    ASSERT_TRUE(client.ok()) << client.status();
    std::string target = "unix:" + broker_.runtime_dir() + "/grpc.sock";
    constexpr std::string_view kScheme = "grpc://";
    const auto status = client->Status();
    ASSERT_TRUE(status.ok()) << status.status();
    for (const std::string& address : status->listening) {
      if (GetParam() && address.starts_with(kScheme)) target = address.substr(kScheme.size());
    }
    ASSERT_EQ(target.starts_with("unix:"), !GetParam());
    channel_ = grpc::CreateChannel(target, grpc::InsecureChannelCredentials());
  }

  BrokerProcess broker_{{.flags = {"--listen", "127.0.0.1:0"}}};
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_P(GrpcIntrospectionTest, TellsThatTheBrokerAndItsServicesAreHealthy) {
  for (const char* service : {"", "baton.v1.Broker", "baton.v1.Admin"}) {
    SCOPED_TRACE(service);
    v1::HealthReply reply;
    const grpc::Status status = CheckHealth(channel_, service, &reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(reply.status(), v1::HealthReply::SERVING);
  }
}

TEST_P(GrpcIntrospectionTest, DoesNotKnowTheHealthOfOtherServices) {
  v1::HealthReply reply;
  EXPECT_EQ(CheckHealth(channel_, "other.Service", &reply).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_P(GrpcIntrospectionTest, WatchTellsTheStateAtOnce) {
  StreamCall<v1::HealthRequest, v1::HealthReply> watch(channel_, "/grpc.health.v1.Health/Watch");
  EXPECT_EQ(watch.Ask({}).status(), v1::HealthReply::SERVING);
}

TEST_P(GrpcIntrospectionTest, AMethodThatDoesNotExistIsUnimplemented) {
  v1::HealthReply reply;
  const grpc::Status status = CheckHealth(channel_, "", &reply, "/baton.v1.Broker/Nothing");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(status.error_message(), testing::HasSubstr("/baton.v1.Broker/Nothing"));
}

TEST_P(GrpcIntrospectionTest, ListsTheServicesAndDescribesThemInBothVersions) {
  for (const char* version : {"v1", "v1alpha"}) {
    SCOPED_TRACE(version);
    Reflection call(channel_,
                    std::string("/grpc.reflection.") + version + ".ServerReflection/ServerReflectionInfo");
    v1::ReflectionRequest list;
    list.set_list_services("*");
    std::vector<std::string> services;
    const v1::ReflectionReply listed = call.Ask(list);
    for (const auto& service : listed.list_services_response().service()) {
      services.push_back(service.name());
    }
    EXPECT_THAT(services, ElementsAre("baton.v1.Broker", "baton.v1.Admin"));

    // A tool goes on to ask for each file, and for what that imports.
    v1::ReflectionRequest ask;
    ask.set_file_containing_symbol("baton.v1.Broker.Publish");
    const v1::ReflectionReply found = call.Ask(ask);
    ASSERT_EQ(found.file_descriptor_response().file_descriptor_proto_size(), 1);
    google::protobuf::FileDescriptorProto file;
    ASSERT_TRUE(file.ParseFromString(found.file_descriptor_response().file_descriptor_proto(0)));
    EXPECT_EQ(file.name(), "baton/v1/broker.proto");
    for (const std::string& imported : file.dependency()) {
      ask.set_file_by_filename(imported);
      EXPECT_EQ(call.Ask(ask).file_descriptor_response().file_descriptor_proto_size(), 1) << imported;
    }
    ask.set_file_by_filename("nothing.proto");
    EXPECT_EQ(call.Ask(ask).error_response().error_code(), static_cast<int>(grpc::StatusCode::NOT_FOUND));
  }
}

INSTANTIATE_TEST_SUITE_P(Carriers, GrpcIntrospectionTest, testing::Bool(),
                         [](const auto& tcp) { return tcp.param ? "Tcp" : "Socket"; });

}  // namespace
}  // namespace baton

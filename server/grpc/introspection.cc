#include "server/grpc/introspection.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <array>
#include <string>

#include "absl/status/status.h"

namespace baton {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;

// Health and reflection themselves are not listed: their descriptors are declared under names of our own.
constexpr std::array<std::string_view, 2> kServices = {"baton.v1.Broker", "baton.v1.Admin"};

void FillFile(const FileDescriptor* file, const std::string& name, v1::ReflectionReply* reply) {
  if (file == nullptr) {
    reply->mutable_error_response()->set_error_code(static_cast<int>(absl::StatusCode::kNotFound));
    reply->mutable_error_response()->set_error_message("there is no " + name);
    return;
  }
  google::protobuf::FileDescriptorProto proto;
  file->CopyTo(&proto);
  reply->mutable_file_descriptor_response()->add_file_descriptor_proto(proto.SerializeAsString());
}

}  // namespace

std::optional<v1::HealthReply> AnswerHealth(const v1::HealthRequest& request) {
  bool known = request.service().empty();
  for (const std::string_view service : kServices) known = known || request.service() == service;
  if (!known) return std::nullopt;
  v1::HealthReply reply;
  reply.set_status(v1::HealthReply::SERVING);  // whoever could say otherwise closes the port
  return reply;
}

v1::ReflectionReply AnswerReflection(const v1::ReflectionRequest& request) {
  v1::ReflectionReply reply;
  reply.set_valid_host(request.host());
  *reply.mutable_original_request() = request;
  const DescriptorPool* pool = DescriptorPool::generated_pool();
  switch (request.request_case()) {
    case v1::ReflectionRequest::kListServices:
      for (const std::string_view service : kServices) {
        reply.mutable_list_services_response()->add_service()->set_name(std::string(service));
      }
      break;
    case v1::ReflectionRequest::kFileByFilename:
      FillFile(pool->FindFileByName(request.file_by_filename()), request.file_by_filename(), &reply);
      break;
    case v1::ReflectionRequest::kFileContainingSymbol:
      FillFile(pool->FindFileContainingSymbol(request.file_containing_symbol()),
               request.file_containing_symbol(), &reply);
      break;
    default:
      reply.mutable_error_response()->set_error_code(static_cast<int>(absl::StatusCode::kUnimplemented));
      reply.mutable_error_response()->set_error_message("there are no extensions");
      break;
  }
  return reply;
}

}  // namespace baton

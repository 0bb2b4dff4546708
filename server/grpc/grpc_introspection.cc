#include "server/grpc/grpc_introspection.h"

#include <string>
#include <utility>
#include <vector>

#include "server/grpc/grpc_status.h"
#include "server/grpc/introspection.h"

namespace baton {
namespace {

template <class Message>
bool Parse(const grpc::ByteBuffer& bytes, Message* message) {
  std::vector<grpc::Slice> slices;
  if (!bytes.Dump(&slices).ok()) return false;
  std::string text;
  for (const grpc::Slice& slice : slices)
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return message->ParseFromString(text);
}

absl::Status Malformed() { return absl::InvalidArgumentError("the request is not of this method's type"); }

}  // namespace

GrpcIntrospection::GrpcIntrospection(GrpcIntrospections* all) : all_(all) { all_->NoteBorn(); }
GrpcIntrospection::~GrpcIntrospection() { all_->NoteGone(); }

void GrpcIntrospection::Accept() {
  context_.AsyncNotifyWhenDone(&done_tag_);
  grpc::ServerCompletionQueue* queue = all_->queue()->get();
  outstanding_ = 1;
  all_->service()->RequestCall(&context_, &stream_, queue, queue, &accepted_tag_);
}

void GrpcIntrospection::OnAccepted(bool ok) {
  if (!ok) {  // the server shuts down; then done_tag_ does not come
    delete this;
    return;
  }
  ++outstanding_;  // done_tag_
  if (!all_->stopping()) all_->AcceptNext();
  const size_t others = all_->size();
  all_->Add(this);
  const std::string& method = context_.method();
  if (method == "/grpc.health.v1.Health/Check") method_ = Method::kHealthCheck;
  if (method == "/grpc.health.v1.Health/Watch") method_ = Method::kHealthWatch;
  if (method == "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo" ||
      method == "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo") {
    method_ = Method::kReflection;
  }
  if (method_ == Method::kUnknown) {
    Finish(absl::UnimplementedError("there is no method " + method + "; this broker serves baton.v1"));
  } else if (others >= GrpcIntrospections::kCallsMax || all_->stopping()) {
    Finish(absl::UnavailableError("too many calls of this kind, or the broker is stopping"));
  } else {
    Read();
  }
  Returned();
}

void GrpcIntrospection::Read() {
  ++outstanding_;
  stream_.Read(&in_, &read_tag_);
}

void GrpcIntrospection::OnRead(bool ok) {
  if (finishing_) {
    // nothing more is said
  } else if (!ok) {
    Finish(absl::OkStatus());
  } else if (method_ == Method::kHealthCheck) {
    AnswerHealthCheck();
  } else if (method_ == Method::kHealthWatch) {
    AnswerHealthWatch();
  } else {
    AnswerReflectionRequest();
  }
  Returned();
}

void GrpcIntrospection::AnswerHealthCheck() {
  v1::HealthRequest request;
  if (!Parse(in_, &request)) return Finish(Malformed());
  const auto reply = AnswerHealth(request);
  if (!reply.has_value()) return Finish(absl::NotFoundError("there is no service " + request.service()));
  finish_after_write_ = true;
  Write(*reply);
}

// The stream stays open: what would be told next is that the broker stops, and then the call ends.
void GrpcIntrospection::AnswerHealthWatch() {
  v1::HealthRequest request;
  if (!Parse(in_, &request)) return Finish(Malformed());
  v1::HealthReply unknown;
  unknown.set_status(v1::HealthReply::SERVICE_UNKNOWN);
  Write(AnswerHealth(request).value_or(unknown));
}

void GrpcIntrospection::AnswerReflectionRequest() {
  v1::ReflectionRequest request;
  if (!Parse(in_, &request)) return Finish(Malformed());
  Write(AnswerReflection(request));
}

template <class Message>
void GrpcIntrospection::Write(const Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  ++outstanding_;
  writing_ = true;
  stream_.Write(grpc::ByteBuffer(&slice, 1), &wrote_tag_);
}

void GrpcIntrospection::OnWrote(bool ok) {
  writing_ = false;
  if (!ok || finish_after_write_) {
    Finish(absl::OkStatus());
  } else if (method_ == Method::kReflection) {
    Read();
  }
  Returned();
}

void GrpcIntrospection::Finish(const absl::Status& status) {
  if (std::exchange(finishing_, true)) return;
  ++outstanding_;
  stream_.Finish(ToGrpcStatus(status), &finished_tag_);
}

void GrpcIntrospection::OnFinished(bool /*ok*/) { Returned(); }

void GrpcIntrospection::OnDone(bool /*ok*/) {
  if (context_.IsCancelled() && !writing_) Finish(absl::CancelledError("the call was cancelled"));
  Returned();
}

void GrpcIntrospection::End(const absl::Status& why) {
  if (writing_) {
    finish_after_write_ = true;
  } else {
    Finish(why);
  }
}

void GrpcIntrospection::Returned() {
  if (--outstanding_ > 0) return;
  all_->Remove(this);
  delete this;
}

void GrpcIntrospections::AcceptNext() { (new GrpcIntrospection(this))->Accept(); }

void GrpcIntrospections::EndAll(const absl::Status& why) {
  const std::vector<GrpcIntrospection*> calls(calls_.begin(), calls_.end());
  for (GrpcIntrospection* call : calls) call->End(why);  // deletes nothing: that comes with OnFinished
}

void GrpcIntrospections::Remove(GrpcIntrospection* call) {
  calls_.erase(call);
  on_gone_();
}

}  // namespace baton

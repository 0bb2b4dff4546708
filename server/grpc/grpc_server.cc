#include "server/grpc/grpc_server.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <utility>

#include "base/error.h"
#include "server/config/tcp_address.h"
#include "server/grpc/grpc_queue.h"
#include "server/grpc/grpc_services.h"
#include "server/listen/unix_socket.h"

namespace baton {
namespace {

constexpr int kStreamsPerConnectionMax = 1'024;
constexpr int kMetadataBytesMax = 16 << 10;

absl::Status Refused(std::string_view message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, reason::kInvalidArgument, message);
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> Credentials(const TlsPaths& paths) {
  if (paths.cert.empty()) return grpc::InsecureServerCredentials();
  const auto files = ReadTlsFiles(paths);
  if (!files.ok()) return files.status();
  grpc::SslServerCredentialsOptions ssl;
  ssl.pem_key_cert_pairs.push_back({.private_key = files->key, .cert_chain = files->cert});
  if (!files->ca.empty()) {
    ssl.pem_root_certs = files->ca;
    ssl.client_certificate_request = GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
  }
  return grpc::SslServerCredentials(ssl);
}

void SetLimits(const BrokerFacts& facts, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(facts.frame_bytes_max()));
  builder.SetMaxSendMessageSize(-1);  // what we send is bounded where it is built
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT,
                             0);  // else a second broker would share the port, silently
  // A client that vanished without a FIN is noticed within a minute and a half.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
}

}  // namespace

struct GrpcServer::Parts {
  explicit Parts(BrokerFacts* broker_facts) : facts(broker_facts) {}

  BrokerFacts* const facts;
  GrpcServices::Registered registered;
  std::unique_ptr<GrpcQueue> queue;
  std::unique_ptr<GrpcServices> services;
  std::unique_ptr<grpc::Server> server;
  int tcp_port = 0;
  bool serving = false;
  bool shut_down = false;
};

GrpcServer::GrpcServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

GrpcServer::~GrpcServer() { Shutdown(std::chrono::milliseconds(0)); }

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const Options& options, BrokerFacts* facts) {
  auto parts = std::make_unique<Parts>(facts);
  grpc::ServerBuilder builder;
  SetLimits(*facts, builder);
  if (!options.socket_path.empty()) {
    if (absl::Status status = ClearStaleSocket(options.socket_path); !status.ok()) return status;
    builder.AddListeningPort("unix:" + options.socket_path, grpc::InsecureServerCredentials());
  }
  if (!options.tcp_address.empty()) {
    const auto credentials = Credentials(options.tls);
    if (!credentials.ok()) return credentials.status();
    builder.AddListeningPort(options.tcp_address, *credentials, &parts->tcp_port);
  }
  builder.RegisterService(&parts->registered.broker);
  builder.RegisterService(&parts->registered.admin);
  builder.RegisterAsyncGenericService(&parts->registered.others);
  parts->queue = std::make_unique<GrpcQueue>(builder.AddCompletionQueue());
  parts->server = builder.BuildAndStart();
  if (parts->server == nullptr) {
    const bool tcp = !options.tcp_address.empty() && parts->tcp_port == 0;
    if (!tcp)
      return Refused(fmt::format("cannot listen on {}; is the directory writable?", options.socket_path));
    return MakeError(
        absl::StatusCode::kAlreadyExists, reason::kInvalidArgument,
        fmt::format(
            "cannot listen on {}: the port is in use, or the host is not one of this machine; stop what "
            "uses it, or choose another --listen",
            options.tcp_address));
  }
  if (!options.socket_path.empty()) {
    if (chmod(options.socket_path.c_str(), 0660) != 0) {
      return Refused(fmt::format("cannot set the mode of {}: {}", options.socket_path, std::strerror(errno)));
    }
    facts->listening.push_back("grpc+unix:" + options.socket_path);
  }
  if (!options.tcp_address.empty()) {
    TcpAddress bound = *ParseTcpAddress(options.tcp_address);
    bound.port = static_cast<uint16_t>(parts->tcp_port);
    facts->listening.push_back((options.tls.cert.empty() ? "grpc://" : "grpcs://") + bound.ToText());
  }
  parts->services = std::make_unique<GrpcServices>(facts, parts->queue.get(), &parts->registered);
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(parts)));
}

std::vector<Bell*> GrpcServer::bells() { return {parts_->queue.get()}; }

void GrpcServer::Serve() {
  GrpcServices* services = parts_->services.get();
  parts_->serving = true;
  parts_->queue->Start({.on_second = [services] { services->OnSecond(); },
                        .on_room = [services] { services->OnRoom(); },
                        .is_idle = [services] { return services->IsIdle(); }});
  parts_->queue->Post([services] { services->Accept(); });
}

void GrpcServer::StopAccepting() {
  std::promise<void> stopped;
  parts_->queue->Post([this, &stopped] {
    parts_->services->StopAccepting();
    stopped.set_value();
  });
  stopped.get_future().wait();
}

void GrpcServer::EndAll(const absl::Status& why) {
  parts_->queue->Post([services = parts_->services.get(), why] { services->EndAll(why); });
}

void GrpcServer::Shutdown(std::chrono::milliseconds grace) {
  if (std::exchange(parts_->shut_down, true)) return;
  if (parts_->serving) {
    StopAccepting();
    // Shared: the queue's thread may drain after we have stopped waiting.
    auto drained = std::make_shared<std::promise<void>>();
    parts_->queue->Post([services = parts_->services.get(), drained] {
      services->WhenDrained([drained] { drained->set_value(); });
    });
    drained->get_future().wait_for(grace);
  }
  parts_->server->Shutdown(std::chrono::system_clock::now());
  if (!parts_->serving) Serve();  // the queue must be drained by somebody
  parts_->queue->Shutdown();
}

int GrpcServer::tcp_port() const { return parts_->tcp_port; }

}  // namespace baton

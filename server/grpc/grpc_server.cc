#include "server/grpc/grpc_server.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/resource_quota.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <optional>
#include <utility>

#include "base/check.h"
#include "server/config/tcp_address.h"
#include "server/grpc/grpc_queue.h"
#include "server/grpc/grpc_services.h"
#include "server/grpc/grpc_watch.h"
#include "server/listen/acceptor.h"
#include "server/listen/listening_socket.h"

namespace baton {
namespace {

constexpr int kStreamsPerConnectionMax = 1'024;
constexpr int kMetadataBytesMax = 16 << 10;
// However small the budget is: a quota that honest publishers fill while the disk is behind costs them their
// sessions, each may have its publish credit on the way.
constexpr size_t kFramesInGrpcMin = 4;
constexpr size_t kGrpcBytesMin = 16 * kPublishCreditBytes;

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
  // A compressed message is inflated before its size is looked at, a thousandfold.
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  for (const auto algorithm : {GRPC_COMPRESS_DEFLATE, GRPC_COMPRESS_GZIP})
    builder.SetCompressionAlgorithmSupportStatus(algorithm, false);
  grpc::ResourceQuota quota("batond");
  quota.Resize(std::max({facts.grpc_bytes_max, kGrpcBytesMin, kFramesInGrpcMin * facts.frame_bytes_max()}));
  builder.SetResourceQuota(quota);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  // Else four megabytes of tiny requests are read before anything else is done. (Of a message as much as is
  // missing is read at once.)
  builder.AddChannelArgument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, 64 << 10);
  // Whoever is let in speaks on: TLS included.
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10'000);
  // A client that vanished without a FIN is noticed within a minute and a half.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 60'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
}

}  // namespace

struct GrpcServer::Parts {
  Parts(Options server_options, BrokerFacts* broker_facts)
      : options(std::move(server_options)), facts(broker_facts) {}

  absl::Status OpenDoors(grpc::ServerBuilder& builder);
  // `known`: asked who has come, where peers have no name of their own.
  void AddDoor(grpc::ServerBuilder& builder, const std::shared_ptr<grpc::ServerCredentials>& credentials,
               std::vector<Descriptor> sockets, Acceptor::Greeting greeting, GrpcWatch* known);
  void CloseDoors();
  void ServeQueue();

  const Options options;
  BrokerFacts* const facts;
  GrpcServices::Registered registered;
  std::unique_ptr<GrpcQueue> queue;
  std::unique_ptr<GrpcServices> services;
  std::vector<Acceptor::Door> doors;  // until they are the acceptor's
  std::unique_ptr<grpc::Server> server;
  GrpcWatch watch{{.streams_max = kStreamsPerConnectionMax, .message_bytes_max = facts->frame_bytes_max()}};
  std::optional<Acceptor> acceptor;
  int tcp_port = 0;
  bool serving = false;
  bool shut_down = false;
};

void GrpcServer::Parts::AddDoor(grpc::ServerBuilder& builder,
                                const std::shared_ptr<grpc::ServerCredentials>& credentials,
                                std::vector<Descriptor> sockets, Acceptor::Greeting greeting,
                                GrpcWatch* known) {
  using External = grpc::experimental::ExternalConnectionAcceptor;
  std::shared_ptr<External> entrance = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials);
  doors.push_back({.sockets = std::move(sockets),
                   .greeting = greeting,
                   .connections_max = options.connections_max,
                   .welcome = [entrance = std::move(entrance), known](int socket) -> intptr_t {
                     External::NewConnectionParameters connection;
                     connection.fd = socket;
                     entrance->HandleNewConnection(&connection);
                     return known != nullptr ? known->NewestLocal() : 0;
                   }});
}

absl::Status GrpcServer::Parts::OpenDoors(grpc::ServerBuilder& builder) {
  if (!options.socket_path.empty()) {
    auto socket = ListenOnUnix(options.socket_path);
    if (!socket.ok()) return socket.status();
    std::vector<Descriptor> sockets;
    sockets.push_back(*std::move(socket));
    AddDoor(builder, grpc::InsecureServerCredentials(), std::move(sockets), Acceptor::Greeting::kHttp2,
            &watch);
    facts->listening.push_back("grpc+unix:" + options.socket_path);
  }
  if (!options.tcp_address.empty()) {
    const bool tls = !options.tls.cert.empty();
    const auto credentials = Credentials(options.tls);
    if (!credentials.ok()) return credentials.status();
    TcpAddress address = *ParseTcpAddress(options.tcp_address);
    auto listening = ListenOnTcp(address.host, address.port);
    if (!listening.ok()) return listening.status();
    tcp_port = address.port = listening->port;
    AddDoor(builder, *credentials, std::move(listening->sockets),
            tls ? Acceptor::Greeting::kTls : Acceptor::Greeting::kHttp2, nullptr);
    facts->listening.push_back((tls ? "grpcs://" : "grpc://") + address.ToText());
  }
  return absl::OkStatus();
}

void GrpcServer::Parts::CloseDoors() {
  if (!acceptor.has_value()) return;
  acceptor.reset();
  if (!options.socket_path.empty()) unlink(options.socket_path.c_str());
}

GrpcServer::GrpcServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

GrpcServer::~GrpcServer() { Shutdown(std::chrono::milliseconds(0)); }

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(Options options, BrokerFacts* facts) {
  auto parts = std::make_unique<Parts>(std::move(options), facts);
  grpc::ServerBuilder builder;
  SetLimits(*facts, builder);
  if (absl::Status opened = parts->OpenDoors(builder); !opened.ok()) return opened;
  builder.RegisterService(&parts->registered.broker);
  builder.RegisterService(&parts->registered.admin);
  builder.RegisterAsyncGenericService(&parts->registered.others);
  parts->queue = std::make_unique<GrpcQueue>(builder.AddCompletionQueue());
  parts->server = builder.BuildAndStart();
  BATON_CHECK(parts->server != nullptr);  // it binds nothing that could be in use
  parts->services = std::make_unique<GrpcServices>(facts, parts->queue.get(), &parts->registered);
  parts->acceptor.emplace(
      Acceptor::Options{.descriptors_max = parts->options.descriptors_max,
                        .on_incident =
                            [facts](const Acceptor::Incident& incident) {
                              facts->NoteIncident(
                                  {.event = incident.event, .peer = incident.peer, .done = incident.done});
                            },
                        .judge =
                            [watch = &parts->watch](const HandedOver::Connection& connection) {
                              return connection.tcp ? watch->Judge(connection.peer.text, connection.received)
                                                    : watch->JudgeLocal(connection.served_as);
                            }},
      std::move(parts->doors));
  return std::unique_ptr<GrpcServer>(new GrpcServer(std::move(parts)));
}

std::vector<Bell*> GrpcServer::bells() { return {parts_->queue.get()}; }

void GrpcServer::Parts::ServeQueue() {
  serving = true;
  queue->Start({.on_second = [this] { services->OnSecond(); },
                .on_room = [this] { services->OnRoom(); },
                .is_idle = [this] { return services->IsIdle(); }});
  queue->Post([this] { services->Accept(); });
}

void GrpcServer::Serve() {
  parts_->ServeQueue();
  parts_->acceptor->Start();
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
  parts_->CloseDoors();
  parts_->server->Shutdown(std::chrono::system_clock::now());
  if (!parts_->serving) parts_->ServeQueue();  // it must be drained by somebody
  parts_->queue->Shutdown();
}

int GrpcServer::tcp_port() const { return parts_->tcp_port; }

}  // namespace baton

#include "client/transport/grpc_channel.h"

#include <fmt/format.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "base/error.h"
#include "base/limits.h"
#include "client/transport/fork_guard.h"

namespace baton::client {
namespace {

// What gRPC takes for the longest pause between attempts.
constexpr std::chrono::milliseconds kPauseLeast{100};
constexpr std::chrono::milliseconds kPauseMost{60'000};

// Leaves `contents` alone when no file is named.
absl::Status ReadFile(const std::string& path, std::string& contents) {
  if (path.empty()) return absl::OkStatus();
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file.is_open() || file.bad()) {
    return MakeError(absl::StatusCode::kInvalidArgument, reason::kInvalidArgument,
                     fmt::format("cannot read the certificate file {}: {}", path, std::strerror(errno)));
  }
  contents = text.str();
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> TlsCredentials(const TlsOptions& tls) {
  if (tls.certificate_file.empty() != tls.key_file.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, reason::kInvalidArgument,
                     "a client certificate needs both its certificate file and its key file");
  }
  grpc::SslCredentialsOptions options;
  for (const absl::Status& status :
       {ReadFile(tls.ca_file, options.pem_root_certs), ReadFile(tls.certificate_file, options.pem_cert_chain),
        ReadFile(tls.key_file, options.pem_private_key)}) {
    if (!status.ok()) return status;
  }
  return grpc::SslCredentials(options);
}

grpc::ChannelArguments Arguments(const Address& address, const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  const auto pause_max =
      std::clamp<std::chrono::milliseconds>(options.reconnect_pause_max, kPauseLeast, kPauseMost);
  arguments.SetMaxReceiveMessageSize(static_cast<int>(kFrameBytesMax));
  // A broker that was restarted is found again soon: gRPC waits a second before its second attempt otherwise.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, static_cast<int>(pause_max.count()));
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
                   5'000);  // how long one attempt may take, in spite of its name
  // A broker's address means the broker, whatever http_proxy says.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (address.carrier == Address::Carrier::kGrpc || address.carrier == Address::Carrier::kGrpcTls) {
    // A peer that vanished without a word is noticed.
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  }
  if (!options.tls.server_name.empty()) arguments.SetSslTargetNameOverride(options.tls.server_name);
  return arguments;
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const Address& address,
                                                           const ClientOptions& options) {
  if (absl::Status may = BeginUsingGrpc(); !may.ok()) return may;
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  std::string target = address.target;
  switch (address.carrier) {
    case Address::Carrier::kGrpcUnix:
      target = "unix:" + address.target;
      credentials = grpc::InsecureChannelCredentials();
      break;
    case Address::Carrier::kGrpc:
      credentials = grpc::InsecureChannelCredentials();
      break;
    case Address::Carrier::kGrpcTls: {
      auto made = TlsCredentials(options.tls);
      if (!made.ok()) return made.status();
      credentials = *std::move(made);
      break;
    }
    case Address::Carrier::kLocal:
      target = "unix:" + GrpcSocketBeside(address);
      credentials = grpc::InsecureChannelCredentials();
      break;
  }
  return grpc::CreateCustomChannel(target, credentials, Arguments(address, options));
}

}  // namespace baton::client

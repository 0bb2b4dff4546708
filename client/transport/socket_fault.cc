#include "client/transport/socket_fault.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/runtime_dir.h"
#include "local/descriptor.h"

namespace baton::client {
namespace {

namespace fs = std::filesystem;
using Kind = SocketFault::Kind;

// As it can be looked for from anywhere.
std::string Absolute(const std::string& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  if (error) return path;
  std::string text = absolute.string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

SocketFault NotThere(const std::string& path) {
  std::error_code error;
  const fs::path parent = fs::path(path).parent_path();
  if (fs::is_symlink(path, error)) return {Kind::kNobodyAnswers, path, path + " is a link to nothing"};
  if (fs::exists(parent, error)) return {Kind::kNobodyAnswers, path, "there is no socket " + path};
  return {Kind::kNobodyAnswers, path, "there is no directory " + parent.string()};
}

SocketFault FaultOf(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
      return NotThere(path);
    case EACCES:
    case EPERM:
      return {Kind::kMayNotUse, path, fmt::format("{}: {}", path, std::strerror(error))};
    case ECONNREFUSED:
      return {Kind::kNobodyAnswers, path, fmt::format("nobody listens on {}: its broker has ended", path)};
    case EAGAIN:
      return {Kind::kBusy, path, std::strerror(error)};
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
      return {Kind::kOwnShortage, path, std::strerror(error)};
    case EPROTOTYPE:
      return {Kind::kNoSocket, path, path + " is a socket of another kind"};
    default:
      return {Kind::kNobodyAnswers, path, fmt::format("{}: {}", path, std::strerror(error))};
  }
}

// 0, or why not.
int Connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() > kSocketPathBytesMax) return ENAMETOOLONG;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return errno;
  const auto* to = reinterpret_cast<const sockaddr*>(&address);
  return ::connect(socket.get(), to, sizeof(address)) == 0 ? 0 : errno;
}

}  // namespace

std::optional<SocketFault> FindSocketFault(const std::string& path) {
  const std::string absolute = Absolute(path);
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return FaultOf(absolute, errno);
  if (S_ISDIR(info.st_mode)) return SocketFault{Kind::kDirectory, absolute, absolute + " is a directory"};
  if (!S_ISSOCK(info.st_mode))
    return SocketFault{Kind::kNoSocket, absolute, absolute + " is a file, and no socket"};
  const int error = Connect(path);
  if (error == 0) return std::nullopt;
  return FaultOf(absolute, error);
}

std::string Describe(const SocketFault& fault, const Address& address) {
  const bool rings = address.carrier == Address::Carrier::kLocal;
  const auto url_in = [&](const std::string& dir) {
    return rings ? "unix:" + LocalSocketPath(dir) : "grpc+unix:" + GrpcSocketPath(dir);
  };
  std::string remedy;
  switch (fault.kind) {
    case Kind::kBusy:  // a broker listens
      return fmt::format("the broker at {} has as many connections waiting as it may ({}): try again later",
                         address.url, fault.what);
    case Kind::kOwnShortage:  // nobody could ask whether one does
      return fmt::format(
          "cannot connect to {} for want of descriptors or memory ({}): close some of what is open here, or "
          "raise the limits (ulimit -n)",
          address.url, fault.what);
    case Kind::kMayNotUse:
      return fmt::format(
          "you may not use the broker's socket at {} ({}): run this as its owner, or join the group that it "
          "and its directory are open to (ls -ld shows both; a directory of mode 0700 is open to none)",
          address.url, fault.what);
    case Kind::kDirectory:
      remedy = fmt::format("give the address of the socket in it: {}", url_in(fault.path));
      break;
    case Kind::kNoSocket:
      remedy = fmt::format("give the address of a broker's socket, as {}", url_in("/run/baton"));
      break;
    case Kind::kNobodyAnswers:
      remedy = "start one with `batond`, or give the address of a running one";
      break;
  }
  return fmt::format("no broker answers at {} ({}); {} (BATON_URL, --url)", address.url, fault.what, remedy);
}

}  // namespace baton::client

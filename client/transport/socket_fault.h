// What is wrong with a local socket on which no broker answers. Both carriers meet the same faults, and say
// them in words of their own, if at all; so whoever was not answered looks at the socket once more.
#pragma once

#include <optional>
#include <string>

#include "client/transport/address.h"

namespace baton::client {

struct SocketFault {
  enum class Kind { kNobodyAnswers, kBusy, kMayNotUse, kNoSocket, kDirectory, kOwnShortage };
  Kind kind;
  std::string path;  // absolute
  std::string what;  // names it; of kBusy and kOwnShortage: the system's error
};

// Absent: somebody listens there now. Never blocks.
std::optional<SocketFault> FindSocketFault(const std::string& path);

// With the address, and what to do about it.
std::string Describe(const SocketFault& fault, const Address& address);

}  // namespace baton::client

#include "server/listen/connection_shares.h"

#include <algorithm>

namespace baton {
namespace {

void Drop(absl::flat_hash_map<std::string, size_t>& counts, const std::string& key) {
  const auto found = counts.find(key);
  if (found != counts.end() && --found->second == 0) counts.erase(found);
}

}  // namespace

size_t ConnectionShares::CountOf(const std::string& key) const {
  const auto found = counts_.find(key);
  return found == counts_.end() ? 0 : found->second;
}

size_t ConnectionShares::OfHostMax(const Peer& peer) const {
  const bool user = peer.host.starts_with("uid=");
  return user ? connections_max_ - connections_max_ / 4 : OfProcessMax();
}

size_t ConnectionShares::OfProcessMax() const { return std::max<size_t>(connections_max_ / 2, 1); }

ConnectionShares::Excess ConnectionShares::ExcessOf(const Peer& peer) const {
  if (!peer.process.empty() && CountOf(peer.process) >= OfProcessMax()) return Excess::kOfProcess;
  if (CountOf(peer.host) >= OfHostMax(peer)) return Excess::kOfHost;
  return connections_ >= connections_max_ ? Excess::kOfDoor : Excess::kNone;
}

void ConnectionShares::Add(const Peer& peer) {
  ++connections_;
  ++counts_[peer.host];
  if (!peer.process.empty()) ++counts_[peer.process];
}

void ConnectionShares::Remove(const Peer& peer) {
  --connections_;
  Drop(counts_, peer.host);
  if (!peer.process.empty()) Drop(counts_, peer.process);
}

}  // namespace baton

// Frames as a good client makes them, for tests that speak the protocol themselves.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "baton/v1/session.pb.h"

namespace baton {

v1::ClientFrame HelloFrame(const std::string& client_name, uint64_t producer_id);
// `credit_bytes` 0: the broker's default.
v1::ClientFrame SubscribeFrame(uint64_t subscription, const std::string& queue, uint32_t credit,
                               uint64_t credit_bytes = 0);
v1::ClientFrame PublishFrame(const std::string& queue, uint64_t first_sequence,
                             const std::vector<std::string>& bodies);
// `tag_pairs`: a first tag, and the number of further ones.
v1::ClientFrame SettleFrame(v1::Settle::Kind kind, const std::vector<uint64_t>& tag_pairs);

}  // namespace baton

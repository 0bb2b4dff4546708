// What the conformance tests share: a real broker in this process, its sessions over one carrier, its queues
// of one durability.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "tests/support/local_broker.h"

namespace baton {

struct Road {
  CarrierKind carrier;
  v1::Durability durability;
};

inline void PrintTo(const Road& road, std::ostream* out) {
  *out << NameOf(road.carrier) << ", " << v1::Durability_Name(road.durability);
}

inline std::vector<Road> EveryRoad() {
  std::vector<Road> roads;
  for (const auto carrier : {CarrierKind::kGrpcTcp, CarrierKind::kGrpcUnix, CarrierKind::kRings}) {
    for (const auto durability : {v1::DURABLE, v1::MEMORY}) roads.push_back({carrier, durability});
  }
  // The engine makes the difference between the log and its sync, and knows no carrier: once is enough.
  roads.push_back({CarrierKind::kRings, v1::RELAXED});
  return roads;
}

inline std::string NameOfRoad(const testing::TestParamInfo<Road>& info) {
  return NameOf(info.param.carrier) + v1::Durability_Name(info.param.durability);
}

class OverEveryRoad : public testing::TestWithParam<Road> {
 protected:
  static CarrierKind carrier() { return GetParam().carrier; }
  static v1::Durability durability() { return GetParam().durability; }
  static void CreateQueue(LocalBroker& broker, const std::string& name, v1::QueueConfig config = {}) {
    config.set_durability(durability());
    broker.CreateQueue(name, config);
  }
};

inline std::vector<std::string> Bodies(const std::vector<RawDelivery>& deliveries) {
  std::vector<std::string> bodies;
  for (const RawDelivery& delivery : deliveries) bodies.push_back(delivery.body);
  return bodies;
}

// The exceptions among what was answered: reasons by sequence.
inline std::map<uint64_t, std::string> PublishErrors(const RawSession& session) {
  std::map<uint64_t, std::string> errors;
  for (const v1::Confirm& confirm : session.confirms()) {
    for (const v1::PublishError& error : confirm.errors()) errors[error.sequence()] = error.error().reason();
  }
  return errors;
}

// Likewise, reasons by tag.
inline std::map<uint64_t, std::string> SettleErrors(const RawSession& session) {
  std::map<uint64_t, std::string> errors;
  for (const v1::SettleError& error : session.settle_errors()) errors[error.tag()] = error.error().reason();
  return errors;
}

}  // namespace baton

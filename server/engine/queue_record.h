// The stored form of a queue's definition (Q rows): version:1 number:v created:v flags:v (1 paused,
// 2 skips damage, 4 hints are late), then properties as
// (tag:v value:v) or, for texts, (tag:v length-prefixed), then tag 0. A property that this version does not
// know makes the record unreadable: a newer broker wrote it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/ids.h"
#include "base/time.h"
#include "server/engine/queue_config.h"

namespace baton {

struct QueueRecord {
  QueueId number;
  Instant created;
  bool paused = false;
  bool skips_damage = false;
  bool hints_are_late = false;
  QueueConfig config;
  friend bool operator==(const QueueRecord&, const QueueRecord&) = default;
};

std::string EncodeQueue(const QueueRecord& record);
std::optional<QueueRecord> DecodeQueue(std::string_view value);
// DATA_LOSS, about one that could not be decoded.
absl::Status UnreadableQueue(std::string_view name);

// The row L 0: the highest queue number ever given, so that none is given twice. version:1 number:v
std::string EncodeLastQueueNumber(QueueId number);
std::optional<QueueId> DecodeLastQueueNumber(std::string_view value);

}  // namespace baton

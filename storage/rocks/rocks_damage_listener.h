// What becomes of a compaction that meets a damaged block: it fails alone. To RocksDB it would be the end of
// all writes. It is tried again about once a second, in vain; until the store is restored its tables pile up
// on level 0, so writes must not be stopped for their number.
#pragma once

#include <atomic>
#include <memory>

#include "rocksdb/listener.h"

namespace rocksdb {
class DB;
}

namespace baton {

class RocksDamageListener : public rocksdb::EventListener {
 public:
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) override;
  // The writer's thread, now and then: lifts the limits on level 0 once it is needed.
  void LiftLimits(rocksdb::DB& db);

 private:
  std::atomic<bool> met_damage_{false};
  bool lifted_ = false;  // the writer's
};

}  // namespace baton

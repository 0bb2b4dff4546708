#include "storage/rocks/rocks_damage_listener.h"

#include "rocksdb/db.h"

namespace baton {

void RocksDamageListener::OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* error) {
  if (reason != rocksdb::BackgroundErrorReason::kCompaction || !error->IsCorruption()) return;
  met_damage_ = true;
  *error = rocksdb::Status::OK();
}

void RocksDamageListener::LiftLimits(rocksdb::DB& db) {
  if (lifted_ || !met_damage_) return;
  lifted_ = true;
  // A failure changes nothing but that writes may be slowed down.
  db.SetOptions({{"level0_slowdown_writes_trigger", "1000000"},
                 {"level0_stop_writes_trigger", "1000000"},
                 {"soft_pending_compaction_bytes_limit", "0"},
                 {"hard_pending_compaction_bytes_limit", "0"}})
      .PermitUncheckedError();
}

}  // namespace baton

// Rows in shared memory: what a kill -9 of the broker does not empty. Same rows and commits as the disk's
// store, and the same order; but a commit is done when Apply returns, and a read is answered at once.
//
// Values lie in the region (storage/memory/memory_layout.h), as a log of commits; an index of the keys lies
// in the process, and is made again by a new broker from what is sealed in the region. A commit is there as a
// whole or not at all, whenever the process is killed.
//
// Space: segments whose rows are all gone are used again; when few are left, the sparsest is copied forward.
// Of the free ones some are always kept in hand, with memory behind them: for what removes rows, for what
// writes rows again elsewhere (which takes as much as it leaves, so that copying forward makes room for the
// next), and for the copying. So a full store refuses what makes it grow, and carries out everything else,
// as much of it in a commit as Room says. THREADS: one owner.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/memory/memory_log.h"
#include "storage/memory/memory_region.h"
#include "storage/memory/memory_use.h"
#include "storage/store.h"

namespace baton {

class MemoryStore {
 public:
  // What Open found.
  struct Adopted {
    bool adopted = false;  // a region was there, and is used
    uint64_t rows = 0;
    uint64_t messages_dropped = 0;  // of queues that are not known
    std::set<QueueId> queues_lost;  // begin empty, because of damage, though others do not
    std::string set_aside;          // a region was there that cannot be used: where it lies now, and why
  };

  // Uses the region that is there, if there is one. One that cannot be trusted is set aside under another
  // name, never used. ERRORS: INTERNAL when that cannot be done.
  struct Adoption {
    std::unique_ptr<MemoryStore> store;  // null: there was none, or it was set aside
    // Of one that was set aside: the rows that can be read. To be read only; null: nothing can.
    std::unique_ptr<MemoryStore> damaged;
    Adopted adopted;
  };
  // `judge`, when given, looks at the rows, and says DATA_LOSS of those that cannot be used.
  using Judge = std::function<absl::Status(const MemoryStore& rows)>;
  static absl::StatusOr<Adoption> Adopt(const MemoryRegion::Options& options, const Judge& judge = {});
  // A new one. A file that is there already is set aside, unless another broker uses it. ERRORS:
  // FAILED_PRECONDITION: one does, or no file can be made there (MEMORY_QUEUES_UNAVAILABLE), which takes an
  // operator; RESOURCE_EXHAUSTED: there is no room (QUEUE_FULL), or a shortage (BROKER_BUSY); INTERNAL.
  static absl::StatusOr<std::unique_ptr<MemoryStore>> Create(const MemoryRegion::Options& options);
  // Adopts the one that is there, or makes a new one.
  static absl::StatusOr<std::unique_ptr<MemoryStore>> Open(const MemoryRegion::Options& options);
  MemoryStore(const MemoryStore&) = delete;
  MemoryStore& operator=(const MemoryStore&) = delete;
  ~MemoryStore() = default;

  const Adopted& adopted() const { return adopted_; }

  // What the next commit may hold.
  MemoryRoom Room() const;
  // How full it is. Asks the system.
  MemoryUse Use() const;
  // Room().grow for so many bytes of operations, with values of at most `value_bytes`: takes memory from the
  // system, and copies forward segments less than half of which is live. ERRORS: RESOURCE_EXHAUSTED.
  absl::Status MakeRoom(size_t bytes, size_t value_bytes);
  // Looks again whether there is what is to be in hand. What MakeRoom was asked for is expected no more.
  void Refill();
  // All of it, at once. Keys have at most 31 bytes. ERRORS: RESOURCE_EXHAUSTED, with nothing changed; not for
  // one that keeps to Room.
  absl::Status Apply(const Commit& commit);

  ReadResult Read(const ReadRequest& request) const;
  // The value of a row; borrows until the next Apply or MakeRoom.
  std::optional<std::string_view> Find(std::string_view key) const;
  // Any row whose key begins with another byte.
  bool HasRowsOutside(char first_byte) const;
  // Visits the rows of [begin, end) in order, until one visit fails.
  absl::Status Scan(
      std::string_view begin, std::string_view end,
      const std::function<absl::Status(std::string_view key, std::string_view value)>& visit) const;

  size_t rows() const { return index_.size(); }
  // Of the process's memory. A node of the tree is three quarters full when rows come and go at random.
  size_t index_bytes() const { return rows() * (sizeof(Key) + sizeof(Place)) * 4 / 3; }
  size_t bytes_live() const { return log_.live_bytes(); }  // records of rows
  size_t bytes_used() const { return log_.region().slots_used() * log_.region().slot_bytes(); }

  // For tests: called before each store that a new broker would see.
  void set_step(std::function<void()> step) { log_.set_step(std::move(step)); }

  // Removes the region of a store that nobody needs any more.
  static void Remove(const std::string& path) { MemoryRegion::Remove(path); }

 private:
  using Place = MemoryLog::Place;
  struct Key {
    std::array<char, kMemoryKeyMax> bytes{};
    uint8_t size = 0;

    explicit Key(std::string_view text);
    std::string_view view() const { return {bytes.data(), size}; }
    friend bool operator<(const Key& a, const Key& b) { return a.view() < b.view(); }
  };

  MemoryStore(std::unique_ptr<MemoryRegion> region, size_t index_bytes_max);

  // And so that growing does not ask the system for each single slot.
  static constexpr uint32_t kForGrowing = 2;

  static std::unique_ptr<MemoryStore> ReadDamaged(const MemoryRegion::Options& options);
  absl::Status AdoptRuns();
  bool AddRow(const RecordReader& record, Place place);
  absl::Status Write(const Commit& commit);
  void CarryOut(const MemoryLog::Run& run);
  void CarryOutRecord(const RecordReader& record, Place place);
  void Refill(size_t copy_bytes_max);
  std::optional<size_t> CompactOne(double sparse);
  size_t Fill(size_t largest) const;
  uint32_t SlotsFor(size_t bytes, size_t largest) const;
  size_t BytesIn(uint32_t slots, size_t largest) const;
  uint32_t Reserve(size_t largest) const;
  size_t SlotsForStories(size_t bytes_used) const;
  bool HasRoomForStories(uint32_t slots) const;
  absl::Status Have(uint32_t slots);
  Row RowFor(const std::string& key, const ReadRequest& request) const;

  MemoryLog log_;
  const size_t index_bytes_max_;
  const size_t rewrite_bytes_;  // that a commit may always write again
  uint32_t available_ = 0;      // slots that the system could give, when it was asked last …
  uint32_t looked_at_ = 0;      // … with so many in use
  Adopted adopted_;
  absl::btree_map<Key, Place> index_;
};

}  // namespace baton

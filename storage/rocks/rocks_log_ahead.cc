#include "storage/rocks/rocks_log_ahead.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace baton {
namespace {

using rocksdb::DataVerificationInfo;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

// One sync in so many bytes is slower, because it writes the zeros.
constexpr uint64_t kAheadBytes = 512u << 10;
// What is synced in larger pieces gains less than the zeros cost.
constexpr uint64_t kSyncBytesMax = 64u << 10;
constexpr uint64_t kPageBytes = 4096;

class AheadLogFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  explicit AheadLogFile(std::unique_ptr<rocksdb::FSWritableFile>&& target)
      : FSWritableFileOwnerWrapper(std::move(target)) {}

  IOStatus Allocate(uint64_t offset, uint64_t length, const IOOptions& options,
                    IODebugContext* debug) override {
    IOStatus status = target()->Allocate(offset, length, options, debug);
    if (status.ok()) reserved_end_ = std::max(reserved_end_, offset + length);
    return status;
  }
  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    return Appended(data.size(), target()->Append(data, options, debug), options, debug);
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const DataVerificationInfo& info,
                  IODebugContext* debug) override {
    return Appended(data.size(), target()->Append(data, options, info, debug), options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    unsynced_ = 0;
    return target()->Sync(options, debug);
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    unsynced_ = 0;
    return target()->Fsync(options, debug);
  }
  IOStatus Truncate(uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    end_ = size;
    zeros_end_ = std::min(zeros_end_, size);
    return target()->Truncate(size, options, debug);
  }
  uint64_t GetFileSize(const IOOptions& /*options*/, IODebugContext* /*debug*/) override { return end_; }
  // Takes the zeros away, or else recovery will. RocksDB's file takes the end of the zeros for its own.
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    if (zeros_end_ > 0) target()->Truncate(end_, options, debug).PermitUncheckedError();
    return target()->Close(options, debug);
  }

 private:
  IOStatus Appended(size_t bytes, IOStatus status, const IOOptions& options, IODebugContext* debug) {
    if (!status.ok()) return status;
    end_ += bytes;
    unsynced_ += bytes;
    if (end_ > zeros_end_ && unsynced_ <= kSyncBytesMax) WriteZeros(options, debug);
    return status;
  }

  void WriteZeros(const IOOptions& options, IODebugContext* debug) {
    static const std::string zeros(kAheadBytes, '\0');
    const uint64_t to = std::min((end_ + kAheadBytes) / kPageBytes * kPageBytes, reserved_end_);
    if (to <= end_) return;
    const IOStatus status = target()->PositionedAppend(Slice(zeros.data(), to - end_), end_, options, debug);
    // Without zeros the log is as good, only slower.
    zeros_end_ = status.ok() ? to : UINT64_MAX;
  }

  uint64_t end_ = 0;           // of what was appended
  uint64_t zeros_end_ = 0;     // up to here the file was written, or all of it need not be
  uint64_t reserved_end_ = 0;  // of the space that was reserved
  uint64_t unsynced_ = 0;      // bytes appended since the last sync
};

class LogAhead : public rocksdb::FileSystemWrapper {
 public:
  explicit LogAhead(std::shared_ptr<rocksdb::FileSystem> target) : FileSystemWrapper(std::move(target)) {}

  const char* Name() const override { return "baton.LogAhead"; }

  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) override {
    if (!std::string_view(path).ends_with(".log")) {
      return FileSystemWrapper::NewWritableFile(path, options, file, debug);
    }
    // What is reserved becomes part of the length at once: zeros come one stretch at a time.
    rocksdb::FileOptions with_length = options;
    with_length.fallocate_with_keep_size = false;
    std::unique_ptr<rocksdb::FSWritableFile> opened;
    IOStatus status = FileSystemWrapper::NewWritableFile(path, with_length, &opened, debug);
    if (status.ok()) *file = std::make_unique<AheadLogFile>(std::move(opened));
    return status;
  }
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> MakeRocksLogAhead(std::shared_ptr<rocksdb::FileSystem> target) {
  return std::make_shared<LogAhead>(std::move(target));
}

}  // namespace baton

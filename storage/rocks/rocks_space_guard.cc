#include "storage/rocks/rocks_space_guard.h"

#include <string>
#include <utility>

namespace baton {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

// RocksDB reserves nothing for the tables of a flush by itself.
constexpr size_t kReserveBytes = 1u << 20;

class GuardedFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  GuardedFile(std::unique_ptr<rocksdb::FSWritableFile>&& target, Ballast* ballast)
      : FSWritableFileOwnerWrapper(std::move(target)), ballast_(ballast) {
    GuardedFile::SetPreallocationBlockSize(kReserveBytes);
  }

  // Both count the blocks: this object reserves them, and the file gives back what is left of them when it is
  // closed.
  void SetPreallocationBlockSize(size_t size) override {
    rocksdb::FSWritableFile::SetPreallocationBlockSize(size);
    target()->SetPreallocationBlockSize(size);
  }
  void PrepareWrite(size_t offset, size_t length, const IOOptions& options, IODebugContext* debug) override {
    rocksdb::FSWritableFile::PrepareWrite(offset, length, options, debug);
    target()->PrepareWrite(offset, length, options, debug);
  }
  IOStatus Allocate(uint64_t offset, uint64_t length, const IOOptions& options,
                    IODebugContext* debug) override {
    const IOStatus status = target()->Allocate(offset, length, options, debug);
    if (!status.IsNoSpace() || !ballast_->Release()) return status;
    return target()->Allocate(offset, length, options, debug);
  }

 private:
  Ballast* const ballast_;
};

class SpaceGuard : public rocksdb::FileSystemWrapper {
 public:
  SpaceGuard(std::shared_ptr<rocksdb::FileSystem> target, Ballast* ballast)
      : FileSystemWrapper(std::move(target)), ballast_(ballast) {}

  const char* Name() const override { return "baton.SpaceGuard"; }

  IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) override {
    std::unique_ptr<rocksdb::FSWritableFile> opened;
    IOStatus status = FileSystemWrapper::NewWritableFile(path, options, &opened, debug);
    if (status.IsNoSpace() && ballast_->Release()) {
      status = FileSystemWrapper::NewWritableFile(path, options, &opened, debug);
    }
    if (status.ok()) *file = std::make_unique<GuardedFile>(std::move(opened), ballast_);
    return status;
  }

 private:
  Ballast* const ballast_;
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> MakeRocksSpaceGuard(std::shared_ptr<rocksdb::FileSystem> target,
                                                         Ballast* ballast) {
  return std::make_shared<SpaceGuard>(std::move(target), ballast);
}

}  // namespace baton

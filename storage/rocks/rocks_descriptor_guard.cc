#include "storage/rocks/rocks_descriptor_guard.h"

#include <string>
#include <utility>
#include <vector>

namespace baton {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

class DescriptorGuard : public rocksdb::FileSystemWrapper {
 public:
  DescriptorGuard(std::shared_ptr<rocksdb::FileSystem> target, DescriptorReserve* reserve)
      : FileSystemWrapper(std::move(target)), reserve_(reserve) {}

  const char* Name() const override { return "baton.DescriptorGuard"; }

  IOStatus NewSequentialFile(const std::string& path, const FileOptions& options,
                             std::unique_ptr<rocksdb::FSSequentialFile>* file,
                             IODebugContext* debug) override {
    return Open([&] { return FileSystemWrapper::NewSequentialFile(path, options, file, debug); });
  }
  IOStatus NewRandomAccessFile(const std::string& path, const FileOptions& options,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                               IODebugContext* debug) override {
    return Open([&] { return FileSystemWrapper::NewRandomAccessFile(path, options, file, debug); });
  }
  IOStatus NewWritableFile(const std::string& path, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) override {
    return Open([&] { return FileSystemWrapper::NewWritableFile(path, options, file, debug); });
  }
  IOStatus ReopenWritableFile(const std::string& path, const FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* file,
                              IODebugContext* debug) override {
    return Open([&] { return FileSystemWrapper::ReopenWritableFile(path, options, file, debug); });
  }
  IOStatus NewDirectory(const std::string& path, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* directory, IODebugContext* debug) override {
    return Open([&] { return FileSystemWrapper::NewDirectory(path, options, directory, debug); });
  }
  IOStatus GetChildren(const std::string& path, const IOOptions& options, std::vector<std::string>* children,
                       IODebugContext* debug) override {
    return Open([&] { return FileSystemWrapper::GetChildren(path, options, children, debug); });
  }

 private:
  template <class Attempt>
  IOStatus Open(Attempt attempt) {
    IOStatus status = attempt();
    if (status.ok()) reserve_->Refill();
    while (status.IsIOError() && reserve_->ReleaseIfScarce()) status = attempt();
    return status;
  }

  DescriptorReserve* const reserve_;
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> MakeRocksDescriptorGuard(std::shared_ptr<rocksdb::FileSystem> target,
                                                              DescriptorReserve* reserve) {
  return std::make_shared<DescriptorGuard>(std::move(target), reserve);
}

}  // namespace baton

#include "tests/support/crash_file_system.h"

#include <cerrno>
#include <utility>

namespace baton {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

namespace {

IOStatus PowerIsOff() { return IOStatus::IOError("the power is off"); }

}  // namespace

class CrashWritableFile : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  CrashWritableFile(CrashFileSystem* file_system, std::string path,
                    std::unique_ptr<rocksdb::FSWritableFile>&& target)
      : FSWritableFileOwnerWrapper(std::move(target)), file_system_(file_system), path_(std::move(path)) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, IODebugContext* debug) override {
    const CrashFileSystem::Verdict verdict = file_system_->Change(CrashFileSystem::Operation::kAppend, path_);
    const size_t bytes = verdict.status.ok() ? data.size()
                         : verdict.torn      ? file_system_->TornBytes(data.size())
                                             : 0;
    if (bytes > 0) {
      const IOStatus status = target()->Append(rocksdb::Slice(data.data(), bytes), options, debug);
      if (!status.ok()) return status;
      file_system_->disk_.Appended(path_, bytes);
    }
    return verdict.status;
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& /*info*/, IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  // Zeros behind the end of a log: whether they reach the disk makes no difference to what is read.
  IOStatus PositionedAppend(const rocksdb::Slice& data, uint64_t offset, const IOOptions& options,
                            IODebugContext* debug) override {
    const CrashFileSystem::Verdict verdict = file_system_->Change();
    const size_t bytes = verdict.status.ok() ? data.size()
                         : verdict.torn      ? file_system_->TornBytes(data.size())
                                             : 0;
    const IOStatus status =
        target()->PositionedAppend(rocksdb::Slice(data.data(), bytes), offset, options, debug);
    return status.ok() ? verdict.status : status;
  }
  IOStatus Truncate(uint64_t size, const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
    const CrashFileSystem::Verdict verdict = file_system_->Change();
    if (!verdict.status.ok()) return verdict.status;
    return file_system_->disk_.Truncate(path_, size) ? IOStatus::OK() : IOStatus::IOError("truncate", path_);
  }
  // Nothing reaches the device: the bookkeeping is the disk, and a real sync would only cost time.
  IOStatus Sync(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
    const CrashFileSystem::Verdict verdict = file_system_->Change(CrashFileSystem::Operation::kSync, path_);
    if (verdict.status.ok()) file_system_->disk_.Synced(path_);
    return verdict.status;
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override { return Sync(options, debug); }
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }
  void PrepareWrite(size_t, size_t, const IOOptions&, IODebugContext*) override {}
  IOStatus Allocate(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

 private:
  CrashFileSystem* const file_system_;
  const std::string path_;
};

class CrashDirectory : public rocksdb::FSDirectoryWrapper {
 public:
  CrashDirectory(CrashFileSystem* file_system, std::unique_ptr<rocksdb::FSDirectory>&& target)
      : FSDirectoryWrapper(std::move(target)), file_system_(file_system) {}

  IOStatus Fsync(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
    const CrashFileSystem::Verdict verdict = file_system_->Change();
    if (verdict.status.ok()) file_system_->disk_.NamesSynced();
    return verdict.status;
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& /*dir_fsync_options*/) override {
    return Fsync(options, debug);
  }

 private:
  CrashFileSystem* const file_system_;
};

std::shared_ptr<CrashFileSystem> CrashFileSystem::Create(const std::string& graveyard, uint64_t seed) {
  return std::shared_ptr<CrashFileSystem>(new CrashFileSystem(graveyard, seed));
}

CrashFileSystem::CrashFileSystem(const std::string& graveyard, uint64_t seed)
    : FileSystemWrapper(rocksdb::FileSystem::Default()), disk_(graveyard), random_(seed) {}

void CrashFileSystem::CutPowerAt(uint64_t n) { cut_at_ = changes_ + n; }

void CrashFileSystem::RestorePower() {
  const std::lock_guard lock(mutex_);
  disk_.LosePower(random_);
  cut_at_ = 0;
  power_ = true;
}

void CrashFileSystem::ResumeWithoutLoss() {
  const std::lock_guard lock(mutex_);
  disk_.LoseProcess(random_);
  cut_at_ = 0;
  power_ = true;
}

void CrashFileSystem::FailOnce(Failure failure) {
  const std::lock_guard lock(mutex_);
  failure_ = std::move(failure);
}

CrashFileSystem::Verdict CrashFileSystem::Change() {
  if (!power_) return {.status = PowerIsOff()};
  if (++changes_ == cut_at_) {
    power_ = false;
    return {.status = PowerIsOff(), .torn = true};
  }
  return {.status = IOStatus::OK()};
}

CrashFileSystem::Verdict CrashFileSystem::Change(Operation operation, const std::string& path) {
  Verdict verdict = Change();
  if (!verdict.status.ok()) return verdict;
  const std::lock_guard lock(mutex_);
  if (!failure_.has_value() || failure_->operation != operation || !path.ends_with(failure_->suffix))
    return verdict;
  if (--failure_->n > 0) return verdict;
  verdict.status = failure_->status;
  failure_.reset();
  return verdict;
}

size_t CrashFileSystem::TornBytes(size_t bytes) {
  const std::lock_guard lock(mutex_);
  return random_() % (bytes + 1);
}

IOStatus CrashFileSystem::NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                          std::unique_ptr<rocksdb::FSWritableFile>* file,
                                          IODebugContext* debug) {
  const Verdict verdict = Change();
  if (!verdict.status.ok()) return verdict.status;
  std::unique_ptr<rocksdb::FSWritableFile> target;
  const IOStatus status = FileSystemWrapper::NewWritableFile(path, options, &target, debug);
  if (!status.ok()) return status;
  disk_.Created(path);
  *file = std::make_unique<CrashWritableFile>(this, path, std::move(target));
  return status;
}

IOStatus CrashFileSystem::ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                             std::unique_ptr<rocksdb::FSWritableFile>* file,
                                             IODebugContext* debug) {
  const Verdict verdict = Change();
  if (!verdict.status.ok()) return verdict.status;
  std::unique_ptr<rocksdb::FSWritableFile> target;
  const IOStatus status = FileSystemWrapper::ReopenWritableFile(path, options, &target, debug);
  if (!status.ok()) return status;
  *file = std::make_unique<CrashWritableFile>(this, path, std::move(target));
  return status;
}

IOStatus CrashFileSystem::ReuseWritableFile(const std::string& /*path*/, const std::string& /*old_path*/,
                                            const rocksdb::FileOptions& /*options*/,
                                            std::unique_ptr<rocksdb::FSWritableFile>* /*file*/,
                                            IODebugContext* /*debug*/) {
  return IOStatus::NotSupported("reuse of log files");  // the store does not ask for it
}

IOStatus CrashFileSystem::NewDirectory(const std::string& path, const IOOptions& options,
                                       std::unique_ptr<rocksdb::FSDirectory>* directory,
                                       IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSDirectory> target;
  const IOStatus status = FileSystemWrapper::NewDirectory(path, options, &target, debug);
  if (!status.ok()) return status;
  *directory = std::make_unique<CrashDirectory>(this, std::move(target));
  return status;
}

IOStatus CrashFileSystem::DeleteFile(const std::string& path, const IOOptions& /*options*/,
                                     IODebugContext* /*debug*/) {
  const Verdict verdict = Change();
  if (!verdict.status.ok()) return verdict.status;
  return disk_.Remove(path) ? IOStatus::OK() : IOStatus::PathNotFound(path);
}

IOStatus CrashFileSystem::RenameFile(const std::string& from, const std::string& to,
                                     const IOOptions& /*options*/, IODebugContext* /*debug*/) {
  const Verdict verdict = Change();
  if (!verdict.status.ok()) return verdict.status;
  return disk_.Rename(from, to) ? IOStatus::OK() : IOStatus::PathNotFound(from, to);
}

}  // namespace baton

#include "tests/support/crash_disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/check.h"

namespace baton {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kLogBlockBytes = 32768;  // of RocksDB's log

bool OneIn(std::mt19937_64& random, uint64_t n) { return random() % n == 0; }

uint64_t SizeOf(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
}

class OpenFile {
 public:
  explicit OpenFile(const std::string& path) : fd_(open(path.c_str(), O_RDWR | O_CLOEXEC)) {
    BATON_CHECK(fd_ >= 0) << path << " errno " << errno;
  }
  ~OpenFile() { close(fd_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  std::string Read(uint64_t offset, uint64_t bytes) const {
    std::string data(bytes, '\0');
    const ssize_t count = pread(fd_, data.data(), bytes, static_cast<off_t>(offset));
    BATON_CHECK(count >= 0) << errno;
    data.resize(static_cast<size_t>(count));
    return data;
  }
  void Write(uint64_t offset, const std::string& data) const {
    BATON_CHECK_EQ(pwrite(fd_, data.data(), data.size(), static_cast<off_t>(offset)),
                   static_cast<ssize_t>(data.size()));
  }
  void Resize(uint64_t bytes) const { BATON_CHECK_EQ(ftruncate(fd_, static_cast<off_t>(bytes)), 0); }

 private:
  const int fd_;
};

}  // namespace

// A file met for the first time was there before: all of it is on disk.
CrashDisk::File& CrashDisk::Know(const std::string& path) {
  const auto [it, is_new] = files_.try_emplace(path);
  if (is_new) it->second.bytes = it->second.synced_bytes = SizeOf(path);
  return it->second;
}

std::string CrashDisk::NewGrave() { return fmt::format("{}/{}", graveyard_, ++graves_); }

void CrashDisk::Created(const std::string& path) {
  const std::lock_guard lock(mutex_);
  files_[path] = File();
  names_.push_back({.kind = NameChange::Kind::kCreated, .path = path, .from = {}, .grave = {}, .file = {}});
}

void CrashDisk::Appended(const std::string& path, uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto it = files_.find(path);
  if (it == files_.end()) return;  // removed while open
  it->second.bytes += bytes;
}

void CrashDisk::Synced(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto it = files_.find(path);
  if (it == files_.end()) return;
  it->second.synced_bytes = it->second.bytes;
  it->second.cut_off.clear();
}

bool CrashDisk::Truncate(const std::string& path, uint64_t size) {
  const std::lock_guard lock(mutex_);
  File& file = Know(path);
  if (size < file.synced_bytes) {
    // What was synced stands behind the cut until the cut itself is synced.
    file.cut_off = OpenFile(path).Read(size, file.synced_bytes - size);
    file.synced_bytes = size;
  }
  file.bytes = size;
  return truncate(path.c_str(), static_cast<off_t>(size)) == 0;
}

bool CrashDisk::Rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  NameChange change{.kind = NameChange::Kind::kRenamed, .path = to, .from = from, .grave = {}, .file = {}};
  if (access(to.c_str(), F_OK) == 0) {
    change.file = Know(to);
    change.grave = NewGrave();
    if (rename(to.c_str(), change.grave.c_str()) != 0) return false;
  }
  if (rename(from.c_str(), to.c_str()) != 0) return false;
  files_.erase(to);
  if (auto node = files_.extract(from); !node.empty()) {
    node.key() = to;
    files_.insert(std::move(node));
  }
  names_.push_back(std::move(change));
  return true;
}

bool CrashDisk::Remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (access(path.c_str(), F_OK) != 0) return false;
  NameChange change{
      .kind = NameChange::Kind::kRemoved, .path = path, .from = {}, .grave = NewGrave(), .file = Know(path)};
  if (rename(path.c_str(), change.grave.c_str()) != 0) return false;
  files_.erase(path);
  names_.push_back(std::move(change));
  return true;
}

void CrashDisk::NamesSynced() {
  const std::lock_guard lock(mutex_);
  for (const NameChange& change : names_) {
    if (!change.grave.empty()) unlink(change.grave.c_str());
  }
  names_.clear();
}

void CrashDisk::LosePower(std::mt19937_64& random) {
  const std::lock_guard lock(mutex_);
  const size_t kept = random() % (names_.size() + 1);
  while (names_.size() > kept) {
    UndoName(names_.back());
    names_.pop_back();
  }
  for (const NameChange& change : names_) {
    if (change.kind == NameChange::Kind::kCreated && change.path.ends_with(".log") && OneIn(random, 4)) {
      unlink(change.path.c_str());
      files_.erase(change.path);
    }
    if (!change.grave.empty()) unlink(change.grave.c_str());
  }
  names_.clear();
  for (const auto& [path, file] : files_) {
    if (access(path.c_str(), F_OK) != 0) continue;
    UndoContents(path, file, random);
    AddReservedTail(path, random);
  }
  files_.clear();
}

void CrashDisk::LoseProcess(std::mt19937_64& random) {
  const std::lock_guard lock(mutex_);
  for (const auto& [path, file] : files_) {
    if (access(path.c_str(), F_OK) == 0) AddReservedTail(path, random);
  }
}

// Its length is in part chosen to be awkward: a few bytes past the end of a block.
void CrashDisk::AddReservedTail(const std::string& path, std::mt19937_64& random) {
  if (!path.ends_with(".log") || OneIn(random, 4)) return;
  uint64_t bytes = SizeOf(path) + random() % (3 * kLogBlockBytes);
  if (OneIn(random, 2)) bytes = (bytes / kLogBlockBytes + 1) * kLogBlockBytes + random() % 9;
  OpenFile(path).Resize(bytes);
}

void CrashDisk::UndoName(const NameChange& change) {
  if (change.kind == NameChange::Kind::kCreated) {
    unlink(change.path.c_str());
    files_.erase(change.path);
    return;
  }
  if (change.kind == NameChange::Kind::kRenamed) {
    BATON_CHECK_EQ(rename(change.path.c_str(), change.from.c_str()), 0);
    if (auto node = files_.extract(change.path); !node.empty()) {
      node.key() = change.from;
      files_.insert(std::move(node));
    }
  }
  if (!change.grave.empty()) {
    BATON_CHECK_EQ(rename(change.grave.c_str(), change.path.c_str()), 0);
    files_[change.path] = change.file;
  }
}

void CrashDisk::UndoContents(const std::string& path, const File& file, std::mt19937_64& random) {
  const OpenFile disk(path);
  if (!file.cut_off.empty() && OneIn(random, 2)) {  // the truncation was lost
    disk.Resize(file.synced_bytes);
    disk.Write(file.synced_bytes, file.cut_off);
    return;
  }
  if (file.bytes <= file.synced_bytes) return;
  const uint64_t odds = 1 + random() % 4;  // of a page to be lost: all, half, a third, a quarter of them
  uint64_t end = file.synced_bytes;
  for (uint64_t page = file.synced_bytes / kPageBytes; page * kPageBytes < file.bytes; ++page) {
    const uint64_t begin = std::max(page * kPageBytes, file.synced_bytes);
    const uint64_t page_end = std::min((page + 1) * kPageBytes, file.bytes);
    if (OneIn(random, odds)) {
      disk.Write(begin, std::string(page_end - begin, '\0'));
    } else {
      end = page_end;
    }
  }
  if (!OneIn(random, 4)) disk.Resize(end);  // else the length was kept, and the lost end reads as zeros
}

}  // namespace baton

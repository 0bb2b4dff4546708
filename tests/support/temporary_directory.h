// A directory of its own for one test, removed with everything in it.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "base/check.h"
#include "gtest/gtest.h"

namespace baton {

class TemporaryDirectory {
 public:
  TemporaryDirectory() : TemporaryDirectory(testing::TempDir()) {}
  // In memory where the system has such a place: for tests that make their own power losses, and no device's.
  static std::string InMemory() {
    return access("/dev/shm", W_OK) == 0 ? std::string("/dev/shm/") : testing::TempDir();
  }
  explicit TemporaryDirectory(const std::string& parent) {
    std::string pattern = parent + "baton-XXXXXX";
    BATON_CHECK(mkdtemp(pattern.data()) != nullptr) << pattern;
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;  // what is left behind lies in the system's temporary folder
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace baton

#include "tests/stress/process_facts.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

// g++ has a macro for it, clang a feature.
#if defined(__SANITIZE_ADDRESS__)
#define BATON_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BATON_ADDRESS_SANITIZER
#endif
#endif
#ifdef BATON_ADDRESS_SANITIZER
extern "C" size_t __sanitizer_get_current_allocated_bytes();  // g++ has the function, and no header for it
#endif

namespace baton {
namespace {

std::string FileOf(pid_t process, const char* name) {
  return "/proc/" + std::to_string(process) + "/" + name;
}

}  // namespace

size_t OccupiedBytes() {
#ifdef BATON_ADDRESS_SANITIZER
  return __sanitizer_get_current_allocated_bytes();
#else
  return ResidentBytesOf(getpid());
#endif
}

size_t ResidentBytesOf(pid_t process) {
  std::ifstream statm(FileOf(process, "statm"));
  size_t total = 0;
  size_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

size_t DescriptorsOf(pid_t process) {
  std::error_code error;  // a process that has gone has none
  const std::filesystem::directory_iterator descriptors(FileOf(process, "fd"), error);
  return static_cast<size_t>(std::count_if(begin(descriptors), end(descriptors), [&](const auto& descriptor) {
    const std::string what = std::filesystem::read_symlink(descriptor, error).string();
    return what.rfind("socket:", 0) == 0 || what.rfind("anon_inode:", 0) == 0 ||
           what.rfind("/memfd:", 0) == 0;
  }));
}

std::chrono::milliseconds CpuTimeOf(pid_t process) {
  std::ifstream file(FileOf(process, "stat"));
  std::string all;
  std::getline(file, all);
  // The name, in brackets, may hold anything; after it come the state and ten numbers, then the times.
  std::istringstream fields(all.substr(all.rfind(')') + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  int64_t user = 0;
  int64_t kernel = 0;
  fields >> user >> kernel;
  return std::chrono::milliseconds((user + kernel) * 1'000 / sysconf(_SC_CLK_TCK));
}

}  // namespace baton

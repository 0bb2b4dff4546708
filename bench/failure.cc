#include "bench/failure.h"

#include <cstdio>

namespace baton::bench {

void Fail(const std::string& what) {
  std::fprintf(stderr, "failed: %s\n", what.c_str());
  throw Failure();
}

int RoleFailed(const char* what, const absl::Status& status) {
  std::fprintf(stderr, "%s: %s\n", what, std::string(status.message()).c_str());
  return 1;
}

}  // namespace baton::bench

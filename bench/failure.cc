#include "bench/failure.h"

#include <cstdio>

namespace baton::bench {

void Fail(const std::string& what) {
  std::fprintf(stderr, "failed: %s\n", what.c_str());
  throw Failure();
}

}  // namespace baton::bench

// The seed of a random test: BATON_SEED when it is set, so that a failure can be repeated; otherwise a new
// one.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace baton {

inline uint64_t RandomSeed() {
  const char* const given = std::getenv("BATON_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("BATON_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace baton

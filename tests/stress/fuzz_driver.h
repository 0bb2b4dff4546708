// What every fuzz program shares: where inputs come from, and for how long.
//
//   PROGRAM TARGET SECONDS     inputs for one of its targets, for so long
//   PROGRAM all SECONDS        for each of them in turn
//   PROGRAM seeds DIRECTORY    writes the seeds there, where libFuzzer finds them
//   PROGRAM FILE…              one input each: what a run has found
//
// Half of the inputs are random, half are seeds that were changed a little. BATON_SEED repeats a run. What
// ends the process (a check, a sanitizer) is what it looks for: the input at hand is written to a file first,
// when BATON_FUZZ_INPUT names one.
//
// For libFuzzer (option BATON_LIBFUZZER) the same program is LLVMFuzzerTestOneInput. CONTRIBUTING.md has the
// commands.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace baton {

// The input, taken from its front; zeros when it is used up.
class FuzzInput {
 public:
  explicit FuzzInput(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool empty() const { return bytes_.empty(); }
  template <class T>
  T Take() {
    T value{};
    const size_t count = std::min(sizeof(T), bytes_.size());
    if (count > 0) std::memcpy(static_cast<void*>(&value), bytes_.data(), count);
    bytes_ = bytes_.subspan(count);
    return value;
  }
  uint64_t Upto(uint64_t max) { return Take<uint16_t>() % (max + 1); }
  std::string TakeBytes(size_t count) {
    count = std::min(count, bytes_.size());
    std::string taken(reinterpret_cast<const char*>(bytes_.data()), count);
    bytes_ = bytes_.subspan(count);
    return taken;
  }
  std::string TakeRest() { return TakeBytes(bytes_.size()); }

 private:
  std::span<const uint8_t> bytes_;
};

// One function under test. An input's first two bytes are the part's place in the program's list: appended
// to, never reordered, for the seeds' sake.
struct FuzzPart {
  std::string_view target;  // several parts may share one
  void (*run)(FuzzInput& input);
  std::vector<std::string> (*seeds)() = nullptr;  // without the first two bytes
};

// Each program defines it.
const std::vector<FuzzPart>& FuzzParts();

// One in each line of hexadecimal digits, with the first two bytes; `#` begins a comment. Those of part
// `part`, without these bytes.
std::vector<std::string> SeedsInFile(const char* path, size_t part, size_t parts);

}  // namespace baton

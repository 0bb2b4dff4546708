#include "tests/stress/fuzz_driver.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "base/check.h"
#include "tests/support/random_seed.h"

namespace baton {
namespace {

constexpr size_t kInputBytesMax = 4'000;

using Bytes = std::vector<uint8_t>;

void FuzzOne(std::span<const uint8_t> bytes) {
  FuzzInput input(bytes);
  const std::vector<FuzzPart>& parts = FuzzParts();
  parts[input.Upto(parts.size() - 1)].run(input);
}

#ifndef BATON_LIBFUZZER

Bytes InputFor(size_t part, std::string_view payload) {
  Bytes bytes(2 + payload.size());
  bytes[0] = static_cast<uint8_t>(part);
  bytes[1] = static_cast<uint8_t>(part >> 8);
  std::copy(payload.begin(), payload.end(), bytes.begin() + 2);
  return bytes;
}

std::vector<Bytes> SeedsOf(size_t part) {
  std::vector<Bytes> seeds;
  if (FuzzParts()[part].seeds == nullptr) return seeds;
  for (const std::string& payload : FuzzParts()[part].seeds()) seeds.push_back(InputFor(part, payload));
  BATON_CHECK(!seeds.empty()) << "no seeds for " << FuzzParts()[part].target;
  return seeds;
}

class Inputs {
 public:
  explicit Inputs(std::string_view target) : random_(RandomSeed()) {
    for (size_t part = 0; part < FuzzParts().size(); ++part) {
      if (FuzzParts()[part].target != target) continue;
      parts_.push_back(part);
      for (Bytes& seed : SeedsOf(part)) seeds_.push_back(std::move(seed));
    }
  }

  bool empty() const { return parts_.empty(); }
  const std::vector<Bytes>& seeds() const { return seeds_; }

  Bytes Next() {
    if (seeds_.empty() || Below(2) == 0) return Random();
    Bytes bytes = seeds_[Below(seeds_.size())];
    for (size_t changes = Below(8); changes > 0; --changes) Change(bytes);
    return bytes;
  }

 private:
  size_t Below(size_t bound) { return random_() % bound; }
  uint8_t Byte() { return static_cast<uint8_t>(random_()); }

  Bytes Random() {
    std::string payload(Below(Below(2) == 0 ? 60 : 2'000), '\0');
    for (char& byte : payload) byte = static_cast<char>(Byte());
    return InputFor(parts_[Below(parts_.size())], payload);
  }

  // Anything but the first two bytes, which say whose input it is.
  void Change(Bytes& bytes) {
    const size_t at = 2 + Below(bytes.size() - 1);
    const auto here = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const Bytes& other = seeds_[Below(seeds_.size())];
    switch (Below(6)) {
      case 0:
        bytes.insert(here, Byte());
        break;
      case 1:
        bytes.erase(here, bytes.end());
        break;
      case 2:
        bytes.insert(here, other.begin() + 2, other.end());
        break;
      case 3:  // numbers at their edges
        bytes.insert(here, Below(9), Below(2) == 0 ? uint8_t{0xff} : uint8_t{0});
        break;
      default:
        if (at < bytes.size())
          bytes[at] = Below(2) == 0 ? Byte() : bytes[at] ^ static_cast<uint8_t>(1 << Below(8));
    }
    bytes.resize(std::min(bytes.size(), kInputBytesMax));
  }

  std::mt19937_64 random_;
  std::vector<size_t> parts_;
  std::vector<Bytes> seeds_;
};

void Write(const std::filesystem::path& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

Bytes Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return {text.begin(), text.end()};
}

// False: there is no such target.
bool FuzzFor(std::string_view target, std::chrono::seconds time) {
  Inputs inputs(target);
  if (inputs.empty()) return false;
  std::fflush(stdout);  // the seed, before anything fails
  const char* const kept = std::getenv("BATON_FUZZ_INPUT");
  const auto run = [kept](const Bytes& bytes) {
    if (kept != nullptr) Write(kept, bytes);
    FuzzOne(bytes);
  };
  for (const Bytes& seed : inputs.seeds()) run(seed);
  const auto end = std::chrono::steady_clock::now() + time;
  uint64_t count = 0;
  do {
    run(inputs.Next());
    ++count;
  } while (std::chrono::steady_clock::now() < end);
  std::printf("%.*s: %llu inputs\n", static_cast<int>(target.size()), target.data(),
              static_cast<unsigned long long>(count));
  return true;
}

int WriteSeeds(const std::filesystem::path& directory) {
  std::filesystem::create_directories(directory);
  size_t number = 0;
  for (size_t part = 0; part < FuzzParts().size(); ++part) {
    for (const Bytes& seed : SeedsOf(part)) Write(directory / std::to_string(++number), seed);
  }
  return EXIT_SUCCESS;
}

std::vector<std::string_view> Targets() {
  std::vector<std::string_view> targets;
  for (const FuzzPart& part : FuzzParts()) {
    if (std::find(targets.begin(), targets.end(), part.target) == targets.end())
      targets.push_back(part.target);
  }
  return targets;
}

int Usage() {
  std::string names;
  for (const std::string_view target : Targets()) names.append(target).append("|");
  std::fprintf(stderr, "usage: PROGRAM %sall SECONDS, PROGRAM seeds DIRECTORY, or PROGRAM FILE…\n",
               names.c_str());
  return 64;
}

int Main(const std::vector<std::string>& arguments) {
  if (arguments.size() == 2 && arguments[0] == "seeds") return WriteSeeds(arguments[1]);
  const bool are_files =
      !arguments.empty() && std::all_of(arguments.begin(), arguments.end(), [](const std::string& path) {
        return std::filesystem::is_regular_file(path);
      });
  if (are_files) {
    for (const std::string& path : arguments) FuzzOne(Read(path));
    return EXIT_SUCCESS;
  }
  if (arguments.size() != 2) return Usage();
  const std::chrono::seconds time(std::strtol(arguments[1].c_str(), nullptr, 10));
  if (arguments[0] != "all") return FuzzFor(arguments[0], time) ? EXIT_SUCCESS : Usage();
  for (const std::string_view target : Targets()) FuzzFor(target, time);
  return EXIT_SUCCESS;
}

#endif

}  // namespace

std::vector<std::string> SeedsInFile(const char* path, size_t part, size_t parts) {
  std::ifstream file(path);
  std::vector<std::string> seeds;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::string seed;
    for (size_t i = 0; i + 1 < line.size(); i += 2)
      seed.push_back(static_cast<char>(std::stoul(line.substr(i, 2), nullptr, 16)));
    BATON_CHECK(seed.size() >= 2) << line;
    const auto number =
        static_cast<size_t>(static_cast<uint8_t>(seed[0]) | static_cast<uint8_t>(seed[1]) << 8);
    if (number % parts == part) seeds.push_back(seed.substr(2));
  }
  return seeds;
}

}  // namespace baton

#ifdef BATON_LIBFUZZER
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  baton::FuzzOne({data, size});
  return 0;
}
#else
int main(int argc, char** argv) { return baton::Main(std::vector<std::string>(argv + 1, argv + argc)); }
#endif

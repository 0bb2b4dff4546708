// Random damage to the shared memory of memory queues (fuzz_driver.h has the command line). Target:
//   region     a few commits, a kill, and a file whose bytes are not what they were, some with checksums that
//   fit: the
//              next broker adopts it or sets it aside, and goes on
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "base/check.h"
#include "storage/crc32c.h"
#include "storage/memory/memory_layout.h"
#include "storage/memory/memory_record.h"
#include "storage/memory/memory_store.h"
#include "tests/stress/fuzz_driver.h"

namespace baton {
namespace {

constexpr size_t kSlot = 4'096;
constexpr size_t kSlotsInFile = 64;

// Removed at the end of the process.
const std::string& Directory() {
  struct Scratch {
    Scratch() : path("/dev/shm/fuzz_region." + std::to_string(getpid())) {
      std::filesystem::create_directories(path);
    }
    ~Scratch() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
    const std::string path;
  };
  static const Scratch scratch;
  return scratch.path;
}

MemoryRegion::Options Options() {
  return {.path = Directory() + "/region",
          .identity = "the data directory",
          .boot_id = "this boot",
          .bytes_max = kSlotsOffset + kSlotsInFile * kSlot,
          .slot_bytes = kSlot};
}

std::string Key(FuzzInput& input) { return "R000" + std::to_string(input.Upto(30)); }

Commit SomeCommit(FuzzInput& input) {
  Commit commit;
  for (uint64_t count = 1 + input.Upto(4); count > 0; --count) {
    switch (input.Upto(4)) {
      case 0:
        commit.Delete(Key(input));
        break;
      case 1: {
        const std::string a = Key(input);
        const std::string b = Key(input);
        if (a < b) commit.DeleteRange(a, b);
        break;
      }
      default:
        commit.Put(Key(input), std::string(input.Upto(input.Upto(5) == 0 ? 9'000 : 300), 'x'));
    }
  }
  return commit;
}

class File {
 public:
  explicit File(const std::string& path) : path_(path) {
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
  }
  ~File() {
    std::ofstream(path_, std::ios::binary | std::ios::in | std::ios::out).write(bytes_.data(), size());
  }
  std::string& bytes() { return bytes_; }
  std::streamsize size() const { return static_cast<std::streamsize>(bytes_.size()); }

  // Makes every run's checksum fit what it holds now, as far as runs can be found.
  void Seal() {
    for (size_t slot = 0; kSlotsOffset + slot * kSlot < bytes_.size(); ++slot) {
      const size_t begin = kSlotsOffset + slot * kSlot;
      if (Number<uint64_t>(kTableOffset + slot * sizeof(SlotEntry)) == 0) continue;
      for (size_t at = begin; at + sizeof(RunHeader) <= bytes_.size();) {
        const auto commit = Number<uint64_t>(at);
        const auto length = Number<uint32_t>(at + 8);
        const size_t size = length & ~kLastRun;
        const size_t records = at + sizeof(RunHeader);
        if (commit == 0 || size == 0 || size > bytes_.size() - records) break;
        RecordReader reader(std::string_view(bytes_).substr(records, size));
        uint32_t checksum = 0;
        while (reader.Next()) checksum = ExtendCrc32c(checksum, reader.fixed_bytes());
        checksum = ExtendCrc32c(checksum, std::string_view(bytes_).substr(at, 12));
        std::memcpy(bytes_.data() + at + 12, &checksum, sizeof(checksum));
        at = records + RunEnd(size);
      }
    }
  }

 private:
  template <class T>
  T Number(size_t at) const {
    T value{};
    if (at + sizeof(T) <= bytes_.size()) std::memcpy(&value, bytes_.data() + at, sizeof(T));
    return value;
  }

  const std::string path_;
  std::string bytes_;
};

// Where there is something: the header, the table, the beginning of a slot, or anywhere in it.
size_t Place(FuzzInput& input, size_t size) {
  switch (input.Upto(3)) {
    case 0:
      return input.Upto(sizeof(RegionHeader) - 1);
    case 1:
      return kTableOffset + input.Upto(6 * sizeof(SlotEntry));
    case 2:
      return kSlotsOffset + input.Upto(5) * kSlot + input.Upto(40);
    default:
      return size <= kSlotsOffset ? 0 : kSlotsOffset + input.Take<uint32_t>() % (size - kSlotsOffset);
  }
}

void Damage(FuzzInput& input) {
  File file(Options().path);
  std::string& bytes = file.bytes();
  for (uint64_t count = 1 + input.Upto(4); count > 0; --count) {
    const size_t at = Place(input, bytes.size());
    if (at >= bytes.size()) continue;
    if (input.Upto(1) == 0) {
      bytes[at] = input.Take<char>();
    } else {
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << input.Upto(7)));
    }
  }
  if (input.Upto(1) == 0) file.Seal();
}

void FuzzRegion(FuzzInput& input) {
  const MemoryRegion::Options options = Options();
  std::filesystem::remove(options.path);
  const auto use = [&](MemoryStore& store, uint64_t commits) {
    for (; commits > 0; --commits) {
      const absl::Status applied = store.Apply(SomeCommit(input));
      BATON_CHECK(applied.ok() || absl::IsResourceExhausted(applied)) << applied;
    }
  };
  {
    auto store = MemoryStore::Create(options);
    BATON_CHECK(store.ok()) << store.status();
    use(**store, 1 + input.Upto(6));
  }
  Damage(input);
  for (int life = 0; life < 2; ++life) {
    auto opened = MemoryStore::Open(options);
    BATON_CHECK(opened.ok()) << opened.status();
    const absl::Status scanned = (*opened)->Scan("", "\xff", [](std::string_view key, std::string_view) {
      BATON_CHECK(!key.empty());
      return absl::OkStatus();
    });
    BATON_CHECK(scanned.ok()) << scanned;
    use(**opened, input.Upto(4));
    const std::string& aside = (*opened)->adopted().set_aside;
    if (!aside.empty()) std::filesystem::remove(aside.substr(0, aside.find(' ')));
  }
}

}  // namespace

const std::vector<FuzzPart>& FuzzParts() {
  static const std::vector<FuzzPart> parts = {{"region", &FuzzRegion}};
  return parts;
}

}  // namespace baton

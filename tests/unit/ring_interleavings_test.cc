// Every order in which the two sides of a ring can take their steps, on a machine whose stores become visible
// late (each side has a store buffer, as on x86), with a crash after any of them. What must hold: nobody
// sleeps for ever while there is something to do, no end ever sees an index that cannot be, and what arrives
// is what was published.
//
// A side is an ordinary function over the ring's own code. It is run again from its start for each step,
// answered from the log of what its operations returned, and stopped at its first new operation: so its state
// is its log, and states that were seen before are not explored again.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "local/ring.h"

namespace baton {
namespace {

constexpr size_t kRing = 2;
constexpr int kWriter = 0;
constexpr int kReader = 1;
enum Variable { kTail, kHead, kReaderWaits, kWriterWaits, kVariables };

struct Operation {
  enum class Kind { kLoad, kStore, kStoreSeqCst, kExchange, kRing, kSleep } kind;
  int variable = 0;
  uint64_t value = 0;
};

struct NextOperation {
  Operation operation;
};

// One side's view while it is replayed.
struct Replay {
  const std::vector<uint64_t>& log;
  size_t at = 0;

  uint64_t Do(const Operation& operation) {
    if (at == log.size()) throw NextOperation{operation};
    return log[at++];
  }
};
Replay* replay = nullptr;

template <class T, Variable kVariable>
struct ModelWord {
  T load(std::memory_order /*order*/) const {
    return static_cast<T>(replay->Do({Operation::Kind::kLoad, kVariable}));
  }
  void store(T value, std::memory_order order) {
    const bool ordered = order == std::memory_order_seq_cst;
    replay->Do(
        {ordered ? Operation::Kind::kStoreSeqCst : Operation::Kind::kStore, kVariable, uint64_t{value}});
  }
  T exchange(T value, std::memory_order /*order*/) {
    return static_cast<T>(replay->Do({Operation::Kind::kExchange, kVariable, uint64_t{value}}));
  }
};

struct ModelIndices {
  ModelWord<uint64_t, kTail> tail;
  ModelWord<uint64_t, kHead> head;
  ModelWord<uint32_t, kReaderWaits> reader_waits;
  ModelWord<uint32_t, kWriterWaits> writer_waits;
};

void Ring() { replay->Do({Operation::Kind::kRing}); }
void Sleep() { replay->Do({Operation::Kind::kSleep}); }

struct Outcome {
  bool broken = false;
  size_t moved = 0;
};

// Writes so many bytes, sleeping when there is no room.
Outcome Write(size_t bytes) {
  ModelIndices indices;
  std::array<char, kRing> memory{};
  BasicRingWriter<ModelIndices> writer(&indices, memory);
  size_t written = 0;
  while (written < bytes) {
    written += writer.Write(std::string(bytes - written, 'x'));
    if (writer.Publish()) Ring();
    if (writer.broken()) return {.broken = true};
    if (written < bytes && writer.WaitForRoom()) Sleep();
  }
  return {.moved = written};
}

// Reads them, sleeping when there is nothing.
Outcome Read(size_t bytes) {
  ModelIndices indices;
  const std::array<char, kRing> memory{};
  BasicRingReader<ModelIndices> reader(&indices, memory);
  size_t read = 0;
  while (read < bytes) {
    char into[kRing];
    const size_t count = reader.Read(into, kRing);
    if (reader.Release()) Ring();
    if (reader.broken()) return {.broken = true};
    read += count;
    if (count == 0 && reader.WaitForData()) Sleep();
  }
  return {.moved = read};
}

struct Side {
  std::vector<uint64_t> log;
  std::deque<std::pair<int, uint64_t>> stores;  // not yet visible
  uint64_t bells = 0;
  bool dead = false;
  bool operator<(const Side& other) const {
    return std::tie(log, stores, bells, dead) < std::tie(other.log, other.stores, other.bells, other.dead);
  }
};

struct World {
  std::array<uint64_t, kVariables> memory{};
  std::array<Side, 2> sides;
  bool operator<(const World& other) const {
    return std::tie(memory, sides) < std::tie(other.memory, other.sides);
  }
};

class Explorer {
 public:
  Explorer(size_t bytes, bool crashes) : bytes_(bytes), crashes_(crashes) {}

  void Run() {
    std::vector<World> open{World{}};
    while (!open.empty() && !testing::Test::HasFailure()) {
      const World world = std::move(open.back());
      open.pop_back();
      steps_ = 0;
      for (const int side : {kWriter, kReader}) Expand(world, side, open);
      if (steps_ == 0) CheckEnd(world);
    }
  }
  size_t states() const { return seen_.size(); }
  size_t ends() const { return ends_; }

 private:
  struct Progress {
    std::optional<Operation> next;  // absent: the side is done
    Outcome outcome;
  };

  Progress Look(const World& world, int side) const {
    Replay mine{.log = world.sides[side].log};
    replay = &mine;
    try {
      return {.next = std::nullopt, .outcome = side == kWriter ? Write(bytes_) : Read(bytes_)};
    } catch (const NextOperation& next) {
      return {.next = next.operation, .outcome = {}};
    }
  }

  void Add(World world, std::vector<World>& open) {
    ++steps_;
    if (seen_.insert(world).second) open.push_back(std::move(world));
  }

  void Expand(const World& world, int side, std::vector<World>& open) {
    if (!world.sides[side].stores.empty()) {  // the oldest becomes visible
      World next = world;
      const auto [variable, value] = next.sides[side].stores.front();
      next.memory[variable] = value;
      next.sides[side].stores.pop_front();
      Add(std::move(next), open);
    }
    if (world.sides[side].dead) return;
    const Progress progress = Look(world, side);
    EXPECT_FALSE(progress.outcome.broken);
    if (!progress.next.has_value()) return;
    if (auto next = Step(world, side, *progress.next)) {
      if (crashes_) {
        World crashed = *next;
        crashed.sides[side].dead = true;
        Add(std::move(crashed), open);
      }
      Add(*std::move(next), open);
    }
  }

  // Absent: it cannot go on now.
  static std::optional<World> Step(World world, int side, const Operation& operation) {
    Side& mine = world.sides[side];
    uint64_t result = 0;
    switch (operation.kind) {
      case Operation::Kind::kLoad:
        result = world.memory[operation.variable];
        for (const auto& [variable, value] : mine.stores)
          if (variable == operation.variable) result = value;
        break;
      case Operation::Kind::kStore:
        mine.stores.emplace_back(operation.variable, operation.value);
        break;
      case Operation::Kind::kStoreSeqCst:
      case Operation::Kind::kExchange:
        if (!mine.stores.empty()) return std::nullopt;  // after they are visible
        result = std::exchange(world.memory[operation.variable], operation.value);
        break;
      case Operation::Kind::kRing:
        ++world.sides[1 - side].bells;
        break;
      case Operation::Kind::kSleep:
        if (mine.bells == 0) return std::nullopt;
        mine.bells = 0;
        break;
    }
    mine.log.push_back(result);
    return world;
  }

  // Nobody can take a step any more.
  void CheckEnd(const World& world) {
    ++ends_;
    const bool crashed = world.sides[kWriter].dead || world.sides[kReader].dead;
    if (crashed) return;  // who sleeps then is woken by the socket's end
    for (const int side : {kWriter, kReader}) {
      const Progress progress = Look(world, side);
      EXPECT_FALSE(progress.next.has_value())
          << (side == kWriter ? "the writer" : "the reader") << " sleeps for ever; tail "
          << world.memory[kTail] << ", head " << world.memory[kHead];
      EXPECT_EQ(progress.outcome.moved, bytes_);
    }
  }

  const size_t bytes_;
  const bool crashes_;
  std::set<World> seen_;
  size_t steps_ = 0;  // that can be taken in the world at hand
  size_t ends_ = 0;
};

TEST(RingInterleavings, NobodySleepsForEver) {
  for (const size_t bytes : {1u, 2u, 3u, 4u}) {
    Explorer explorer(bytes, false);
    explorer.Run();
    EXPECT_GT(explorer.ends(), 0u);
    RecordProperty("states_of_" + std::to_string(bytes), static_cast<int>(explorer.states()));
  }
}

TEST(RingInterleavings, ACrashAfterAnyStoreLeavesTheOtherSideWhole) {
  Explorer explorer(4, true);
  explorer.Run();
  EXPECT_GT(explorer.ends(), 0u);
}

}  // namespace
}  // namespace baton

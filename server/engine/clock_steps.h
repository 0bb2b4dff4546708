// How broker time stepped (Engine::OnClockMoved), and what was written by the time before: an instant that
// this life of the broker had written when the clock was set means one that is later, or earlier, by as much.
// So TTLs and delays keep their length. What earlier lives wrote is taken as it is.
//
// A stamp is the number that the next message would have had when the instant was written.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/coding.h"
#include "base/ids.h"
#include "base/time.h"

namespace baton {

class ClockSteps {
 public:
  // Of the last ones; what is older has come due, or is taken as it is.
  static constexpr size_t kStepsMax = 64;

  // Of stamps from `from` on (the first of this life) and below `to` (of now).
  void Add(Seq from, Seq to, Duration by) {
    if (steps_.size() >= kStepsMax) steps_.erase(steps_.begin());
    steps_.push_back({.from = from, .to = to, .by = by});
  }
  Duration ShiftOf(Seq stamp) const {
    Duration shift(0);
    for (const Step& step : steps_) {
      if (step.from <= stamp && stamp < step.to) shift += step.by;
    }
    return shift;
  }
  // What an instant means that was written then.
  Instant Meant(Instant instant, Seq stamp) const {
    return steps_.empty() || instant == kNever ? instant : instant + ShiftOf(stamp);
  }

  // version:1 (from:8 to:8 by:8)…
  std::string Encode() const {
    std::string out(1, '\x01');
    for (const Step& step : steps_) {
      AppendFixed64(out, step.from.value());
      AppendFixed64(out, step.to.value());
      AppendFixed64(out, static_cast<uint64_t>(step.by.count()));
    }
    return out;
  }
  absl::Status Load(std::string_view value) {
    ByteReader reader(value);
    bool sound = reader.Byte() == 1;
    while (sound && !reader.AtEnd() && reader.ok()) {
      const Seq from(reader.Fixed64());
      const Seq to(reader.Fixed64());
      const Duration by(static_cast<int64_t>(reader.Fixed64()));
      sound = by < kStepMax && by > -kStepMax && steps_.size() < kStepsMax;
      if (sound) Add(from, to, by);
    }
    return sound && reader.AtEnd()
               ? absl::OkStatus()
               : absl::DataLossError("how the clock was set cannot be read: the store is damaged, or newer");
  }

 private:
  static constexpr Duration kStepMax = std::chrono::hours(24 * 365 * 100);
  struct Step {
    Seq from;
    Seq to;
    Duration by{0};
  };
  std::vector<Step> steps_;
};

}  // namespace baton

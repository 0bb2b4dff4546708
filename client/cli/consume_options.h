// What `baton consume` was asked to do, and the two ways to do it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "baton/client.h"
#include "client/cli/global_options.h"
#include "client/cli/settle_tally.h"
#include "client/cli/stop_signal.h"

namespace baton::cli {

struct ConsumeOptions {
  std::string queue;
  std::optional<uint64_t> max;
  bool ack = true;
  bool follow = false;
  std::string exec;                    // "" = print
  std::optional<uint32_t> jobs;        // absent = 1
  std::chrono::milliseconds lease{0};  // 0 = the queue's
};

// Both BLOCK until there is nothing more to do, or a signal came; and until what they settled is answered.
absl::Status ConsumeToOutput(Client& client, const ConsumeOptions& options, Format format,
                             const StopSignal& stop, SettleTally& tally);
absl::Status ConsumeWithCommand(Client& client, const ConsumeOptions& options, const StopSignal& stop,
                                SettleTally& tally);

// Without --follow a consumer is through when nothing comes and the queue has nothing ready: asked only after
// a pause, because what is ready may be on its way.
bool NothingReady(Client& client, const std::string& queue);

// Tells the broker to deliver nothing more, and waits for nothing. What is settled or given back afterwards
// brings no further delivery; Consumer::Stop waits for the rest.
void EndDeliveries(Consumer& consumer);

// How long to wait for a delivery, or an end, before looking at the signal again.
inline constexpr std::chrono::milliseconds kLookAgain{150};
// Ready messages that are delivered to nobody for so long are not for us: paused, or held back by
// in-flight-max.
inline constexpr std::chrono::seconds kNothingDelivered{2};
// What Stop gives running commands and unanswered settlements.
inline constexpr std::chrono::seconds kStopPatience{10};

}  // namespace baton::cli

// baton consume, printing.
#include <algorithm>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "client/cli/consume_options.h"
#include "client/cli/json.h"
#include "client/cli/output.h"
#include "client/cli/progress_line.h"

namespace baton::cli {
namespace {

// Enough to keep a terminal or a pipe busy; what is buffered here no other consumer gets.
constexpr uint32_t kPrintCredit = 64;

absl::Status PrintDelivery(const Delivery& delivery, Format format) {
  if (format == Format::kJson) return Print(Line(ToJson(delivery)));
  std::string text(delivery.body());
  text.push_back('\n');
  return Print(text);
}

uint32_t CreditFor(const ConsumeOptions& options) {
  // Without acks everything is held until the end.
  const uint64_t most = options.ack ? kPrintCredit : kCreditMessagesMax;
  return static_cast<uint32_t>(std::min<uint64_t>(options.max.value_or(most), most));
}

}  // namespace

absl::Status ConsumeToOutput(Client& client, const ConsumeOptions& options, Format format,
                             const StopSignal& stop, SettleTally& tally) {
  auto consumer =
      client.Subscribe({.queue = options.queue, .credit = CreditFor(options), .lease = options.lease});
  if (!consumer.ok()) return consumer.status();
  ProgressLine progress("messages taken");
  std::vector<Delivery>
      held;  // with --no-ack: given back when we are through, else they would come again at once
  absl::Status outcome;
  auto last_delivery = std::chrono::steady_clock::now();
  const uint64_t max = options.max.value_or(UINT64_MAX);
  uint64_t printed = 0;
  uint64_t bytes = 0;
  while (stop.Received() == 0 && printed < max) {
    auto received = consumer->Receive(kLookAgain);
    if (!received.ok()) {
      outcome = received.status();
      break;
    }
    if (!received->has_value()) {
      if (options.follow) continue;
      const bool waited = std::chrono::steady_clock::now() - last_delivery >= kNothingDelivered;
      if (waited || NothingReady(client, options.queue)) break;
      continue;
    }
    Delivery delivery = **std::move(received);
    outcome = PrintDelivery(delivery, format);
    if (!outcome.ok() || ++printed == max) EndDeliveries(*consumer);
    if (!outcome.ok()) break;  // not acked: nobody has seen it whole
    bytes += delivery.body().size();
    if (!options.ack) {
      held.push_back(std::move(delivery));
      if (held.size() == kCreditMessagesMax) break;
    } else {
      tally.Ack(delivery);
    }
    if (!StdoutIsTerminal()) progress.Update(printed, bytes);
    last_delivery = std::chrono::steady_clock::now();
  }
  progress.Clear();
  EndDeliveries(*consumer);
  for (Delivery& delivery : held) tally.Release(delivery);
  const absl::Status stopped = consumer->Stop(kStopPatience);
  return outcome.ok() ? stopped : outcome;
}

}  // namespace baton::cli

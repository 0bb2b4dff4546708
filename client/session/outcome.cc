#include <string>
#include <utility>

#include "baton/consumer.h"

namespace baton {
inline namespace client_api {

Outcome Outcome::Nack(NackOptions options) {
  Outcome outcome(Kind::kNack);
  outcome.options_ = std::move(options);
  return outcome;
}

Outcome Outcome::DeadLetter(std::string reason) {
  Outcome outcome(Kind::kDeadLetter);
  outcome.options_.reason = std::move(reason);
  return outcome;
}

}  // namespace client_api
}  // namespace baton

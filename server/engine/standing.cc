#include "server/engine/standing.h"

namespace baton {

Standing Judge(const Message& message, const LeaseToken& token, Epoch epoch) {
  if (message.state == Message::State::kLeased) {
    return token.epoch == epoch && message.lease.number == token.delivery ? Standing::kHolding
                                                                          : Standing::kLost;
  }
  // Delivered again and given back counts an attempt, unless released unstarted. So the attempts tell, and
  // where they do not, the last delivery does; it is forgotten when the message leaves memory, and then the
  // token of a delivery that was released passes for that of the next one, if that one's lease has ended.
  const bool moved = message.seq != message.id.seq || message.home == Message::Home::kParkedRow;
  if (moved) return Standing::kLost;
  if (token.epoch == epoch) {
    const bool is_last = !message.last_delivery || message.last_delivery == token.delivery;
    return is_last && token.attempt == message.attempts ? Standing::kLapsed : Standing::kLost;
  }
  // Only the last life's: what an earlier one delivered, that one may have delivered again.
  const bool last_life = token.epoch.value() + 1 == epoch.value();
  const bool since = static_cast<bool>(message.last_delivery);  // delivered in this life, and released
  return last_life && !since && token.attempt == message.attempts + 1 ? Standing::kEarlierLife
                                                                      : Standing::kLost;
}

}  // namespace baton

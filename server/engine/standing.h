// Whether a token is good: until the message is delivered again, moved, expired or gone.
#pragma once

#include "base/message_id.h"
#include "server/engine/message.h"

namespace baton {

enum class Standing {
  kHolding,      // its lease goes on
  kLapsed,       // its lease has ended, and nothing happened since
  kEarlierLife,  // likewise, of the broker's last life
  kLost,
};

// `epoch`: of this life.
Standing Judge(const Message& message, const LeaseToken& token, Epoch epoch);

}  // namespace baton

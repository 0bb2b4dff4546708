// A producer's options, and what it waits for; the messages themselves are in the session's window.
#pragma once

#include <memory>

#include "baton/producer.h"
#include "client/session/publish_window.h"
#include "client/session/session.h"

namespace baton::client {

struct ProducerCore {
  ProducerOptions options;
  std::shared_ptr<Session> session;
  std::shared_ptr<ProducerState> state;

  // Hands a message to the window; `done` is moved from only when this returns OK.
  absl::Status Publish(std::string_view queue, const Message& message, PublishCallback& done,
                       std::chrono::milliseconds room_timeout);
};

}  // namespace baton::client

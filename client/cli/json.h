// Values as programs read them: names as in the protocol, times in milliseconds with `_ms`, bodies as text
// when they are UTF-8 (`body`), else in base 64 (`body_base64`).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "baton/admin.h"
#include "baton/delivery.h"

namespace baton::cli {

using Json = nlohmann::ordered_json;

Json ToJson(const QueueInfo& queue);
Json ToJson(const MessageInfo& message);
Json ToJson(const BrokerStatus& status);
Json ToJson(const Delivery& delivery);

// One line, newline included.
std::string Line(const Json& json);

}  // namespace baton::cli

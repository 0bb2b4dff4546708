// Tells systemd (Type=notify) how far the service is. Does nothing when NOTIFY_SOCKET is not set.
#pragma once

#include <string_view>

namespace baton {

void NotifyServiceManager(std::string_view state);

}  // namespace baton

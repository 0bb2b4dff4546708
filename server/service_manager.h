// The service manager (systemd) that started us, told what becomes of us (sd_notify).
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace baton {

// `state` to the manager that NOTIFY_SOCKET names; OK without one. ERRORS: it could not be told, and will
// wait for its timeout.
absl::Status NotifyServiceManager(std::string_view state);

}  // namespace baton

#include "server/session/wire_error.h"

#include "base/check.h"
#include "base/error.h"

namespace baton {

void FillWireError(const absl::Status& status, v1::Error* error) {
  BATON_CHECK(!status.ok());
  error->set_code(static_cast<uint32_t>(status.code()));  // absl's codes are google.rpc.Code's
  error->set_reason(ReasonOf(status));
  error->set_message(std::string(status.message()));
}

}  // namespace baton

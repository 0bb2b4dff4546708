// What tools ask of any gRPC server: is it healthy, what services does it have. Pure: requests to replies.
#pragma once

#include <optional>
#include <string_view>

#include "baton/v1/introspection.pb.h"

namespace baton {

// nullopt: there is no service of that name.
std::optional<v1::HealthReply> AnswerHealth(const v1::HealthRequest& request);

v1::ReflectionReply AnswerReflection(const v1::ReflectionRequest& request);

}  // namespace baton

// Golden files: the bytes of a stored record, pinned for ever, as text that people can read. Two hexadecimal
// digits a byte, blanks where they help, and what follows a # is a comment.
#pragma once

#include <string>
#include <string_view>

namespace baton {

// The bytes of tests/golden/<name>.hex. A file that is missing or malformed is a failed CHECK.
std::string ReadGoldenFile(std::string_view name);

// "01 af" of bytes, for messages of failed tests.
std::string ToHex(std::string_view bytes);

}  // namespace baton

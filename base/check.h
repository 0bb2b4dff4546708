// Assertions that stay on in release builds: a broken invariant ends the process before it can spread to the
// disk. For bugs of this process only; input is never a CHECK (base/error.h has the words for input).
//
//   BATON_CHECK(seq > last) << "queue " << name;
//   BATON_CHECK_EQ(count, rows.size());
#pragma once

#include <sstream>
#include <utility>

namespace baton {

// Collects a message and aborts when it goes out of scope.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition);
  CheckFailure(const CheckFailure&) = delete;
  CheckFailure& operator=(const CheckFailure&) = delete;
  [[noreturn]] ~CheckFailure();

  std::ostream& stream() { return stream_; }

 private:
  std::ostringstream stream_;
};

// Gives the streamed-to expression the type void, so that it fits the conditional operator.
struct CheckVoidify {
  void operator&(std::ostream&) const {}
};

}  // namespace baton

#define BATON_CHECK(condition) \
  (condition)                  \
      ? static_cast<void>(0)   \
      : ::baton::CheckVoidify() & ::baton::CheckFailure(__FILE__, __LINE__, #condition).stream() << ' '

#define BATON_CHECK_OP_(a, op, b) BATON_CHECK((a)op(b)) << "(" << (a) << " vs " << (b) << ") "
#define BATON_CHECK_EQ(a, b) BATON_CHECK_OP_(a, ==, b)
#define BATON_CHECK_NE(a, b) BATON_CHECK_OP_(a, !=, b)
#define BATON_CHECK_LT(a, b) BATON_CHECK_OP_(a, <, b)
#define BATON_CHECK_LE(a, b) BATON_CHECK_OP_(a, <=, b)
#define BATON_CHECK_GT(a, b) BATON_CHECK_OP_(a, >, b)
#define BATON_CHECK_GE(a, b) BATON_CHECK_OP_(a, >=, b)

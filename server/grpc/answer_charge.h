// What a unary call's answer takes, from when it is made until its client has taken it. All answers together
// have a bound: beyond it large ones are not made.
#pragma once

#include <cstddef>
#include <utility>

#include "server/engine/outputs.h"
#include "server/session/session_outbox.h"

namespace baton {

class AnswerCharge {
 public:
  AnswerCharge() = default;
  // `total` outlives it. THREADS: any.
  AnswerCharge(SessionOutbox::Total* total, const Reply& reply);
  AnswerCharge(AnswerCharge&& other) noexcept
      : total_(std::exchange(other.total_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)),
        over_(other.over_) {}
  AnswerCharge& operator=(AnswerCharge&& other) noexcept;
  ~AnswerCharge();

  size_t bytes() const { return bytes_; }
  // There is no room for it: other answers, which nobody has taken yet, fill the bound.
  bool over() const { return over_; }

  // The answer is not made after all.
  void Release();

  static absl::Status NoRoom();

 private:
  SessionOutbox::Total* total_ = nullptr;
  size_t bytes_ = 0;
  bool over_ = false;
};

}  // namespace baton

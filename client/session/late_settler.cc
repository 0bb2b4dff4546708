#include "client/session/late_settler.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/limits.h"

namespace baton::client {
namespace {

std::vector<Settlements::Answer> AnswerAll(SettleGroup& group, const absl::Status& status) {
  std::vector<Settlements::Answer> answers;
  answers.reserve(group.entries.size());
  for (SettleEntry& entry : group.entries) {
    answers.push_back({.kind = group.how.kind, .entry = std::move(entry), .status = status});
  }
  group.entries.clear();
  return answers;
}

// The broker gave the leases of the lost session back by itself: nothing is left to release or to extend.
bool NeedsNoCall(v1::Settle::Kind kind) { return kind == v1::Settle::RELEASE || kind == v1::Settle::EXTEND; }

absl::Status AnswerWithoutCall(v1::Settle::Kind kind) {
  if (kind == v1::Settle::RELEASE) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, reason::kLeaseLost,
                   "the lease ended with the connection that had it");
}

}  // namespace

void LateSettler::Add(SettleGroup group) {
  absl::Status stopped;
  {
    MutexLock lock(mutex_);
    stopped = stopped_;
    if (stopped.ok() && !NeedsNoCall(group.how.kind)) {
      waiting_.push_back(std::move(group));
      if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
      changed_.NotifyAll();
      return;
    }
  }
  answered_(AnswerAll(group, stopped.ok() ? AnswerWithoutCall(group.how.kind) : stopped));
}

void LateSettler::SetConnected(bool connected) {
  MutexLock lock(mutex_);
  connection_ = connected ? ++last_connection_ : 0;
  changed_.NotifyAll();
}

bool LateSettler::idle() {
  MutexLock lock(mutex_);
  return waiting_.empty() && !sending_;
}

std::string LateSettler::Describe() {
  MutexLock lock(mutex_);
  size_t entries = 0;
  for (const SettleGroup& group : waiting_) entries += group.entries.size();
  return fmt::format("late settlements: {} tokens wait; {}; {}", entries,
                     sending_ ? "a call is on its way" : "no call is on its way",
                     connection_ == 0 ? "not connected" : "connected");
}

bool LateSettler::MayTry() const {
  return !waiting_.empty() && connection_ != 0 &&
         (connection_ != failed_connection_ || std::chrono::steady_clock::now() >= retry_at_);
}

void LateSettler::Run() {
  while (true) {
    SettleGroup group;
    uint64_t connection = 0;
    {
      MutexLock lock(mutex_);
      while (stopped_.ok() && !MayTry()) {
        if (waiting_.empty() || connection_ == 0) {
          changed_.Wait(mutex_);
        } else {
          changed_.WaitUntil(mutex_, retry_at_);
        }
      }
      if (!stopped_.ok()) return;
      group = std::move(waiting_.front());
      waiting_.pop_front();
      sending_ = true;
      connection = connection_;
    }
    std::vector<Settlements::Answer> answers = SendGroup(group);
    {
      MutexLock lock(mutex_);
      sending_ = false;
      if (group.entries.empty()) {
        retry_pauses_.Reset();
      } else {
        waiting_.push_front(std::move(group));
        failed_connection_ = connection;
        retry_at_ = std::chrono::steady_clock::now() + retry_pauses_.Next();
      }
    }
    answered_(std::move(answers));
  }
}

// The broker's answer stands, also for an ack that was sent before and whose answer was lost.
// MESSAGE_NOT_FOUND may mean that it had arrived; it may as well mean that the message was lost with the
// broker, or acked by somebody else.
std::vector<Settlements::Answer> LateSettler::SendGroup(SettleGroup& group) {
  std::vector<Settlements::Answer> answers;
  while (!group.entries.empty()) {
    const size_t count = std::min(group.entries.size(), kBatchMessagesMax);
    std::vector<std::string> tokens;
    for (size_t i = 0; i < count; ++i) {
      tokens.push_back(group.entries[i].chunk->token(group.entries[i].index).ToText());
    }
    const auto statuses = calls_.send(group.how, tokens);
    if (absl::IsUnavailable(statuses.status()) || absl::IsCancelled(statuses.status())) break;
    for (size_t i = 0; i < count; ++i) {
      const absl::Status status = statuses.ok() ? (*statuses)[i] : statuses.status();
      answers.push_back({.kind = group.how.kind, .entry = std::move(group.entries[i]), .status = status});
    }
    group.entries.erase(group.entries.begin(), group.entries.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return answers;
}

void LateSettler::Stop(const absl::Status& error) {
  std::thread thread;
  std::deque<SettleGroup> rest;
  {
    MutexLock lock(mutex_);
    if (stopped_.ok()) stopped_ = error;
    thread.swap(thread_);
    changed_.NotifyAll();
  }
  if (thread.joinable()) {
    calls_.cancel();
    thread.join();
  }
  {
    MutexLock lock(mutex_);
    rest.swap(waiting_);
  }
  for (SettleGroup& group : rest) answered_(AnswerAll(group, error));
}

}  // namespace baton::client

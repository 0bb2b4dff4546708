#include "server/loop/inbox.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace baton {
namespace {

// A growing command leaves something behind in the broker that was not there before.
bool Grows(const Command& command) {
  return !std::holds_alternative<SettleTags>(command) && !std::holds_alternative<SettleTokens>(command) &&
         !std::holds_alternative<SetCredit>(command) && !std::holds_alternative<Unsubscribe>(command) &&
         !std::holds_alternative<CloseSession>(command) && !std::holds_alternative<CancelCall>(command);
}

bool IsPublishOfSession(const Command& command) {
  const auto* publish = std::get_if<Publish>(&command);
  return publish != nullptr && publish->session;
}

}  // namespace

CommandCost CostOf(const Command& command) {
  CommandCost cost{.bytes = sizeof(Post), .steps = 1};
  if (const auto* publish = std::get_if<Publish>(&command)) {
    cost.steps += publish->messages.size();
    cost.bytes += publish->messages.size() * sizeof(NewMessage);
    for (const NewMessage& message : publish->messages)
      cost.bytes += message.headers.size() + message.body.size();
  } else if (const auto* settle = std::get_if<SettleTags>(&command)) {
    cost.bytes += settle->tags.size() * sizeof(TagRange);
    for (const TagRange& range : settle->tags)
      cost.steps += static_cast<size_t>(range.last - range.first + 1);
  } else if (const auto* tokens = std::get_if<SettleTokens>(&command)) {
    cost.bytes += tokens->tokens.size() * sizeof(LeaseToken);
    cost.steps += tokens->tokens.size();
  }
  return cost;
}

template <class Change>
bool Inbox::AddQuietly(Change&& change) {
  std::lock_guard lock(mutex_);
  change();
  return std::exchange(parked_, false);
}

template <class Change>
void Inbox::Add(Change&& change) {
  if (AddQuietly(std::forward<Change>(change))) parking_->Wake();
}

bool Inbox::TryPost(std::vector<Post>& posts) {
  if (posts.empty()) return true;
  bool grows = false;
  bool publishes = false;
  size_t bytes = 0;
  for (const Post& post : posts) {
    grows = grows || Grows(post.command);
    publishes = publishes || IsPublishOfSession(post.command);
    bytes += CostOf(post.command).bytes;
  }
  bool taken = false;
  Add([&] {
    // An empty inbox takes any post: one that is larger than the bounds would otherwise wait for ever.
    const size_t share = grows ? 1 : 2;
    taken =
        pending_.posts.empty() || (pending_.posts.size() + posts.size() <= options_.commands_max * share &&
                                   pending_bytes_ + bytes <= options_.bytes_max * share);
    if (publishes && held_back_bytes_ > 0) {
      taken = taken && held_back_bytes_ + pending_bytes_ + bytes <= options_.bytes_max;
    }
    if (!taken) {
      pending_.refused = true;
      return;
    }
    for (Post& post : posts) pending_.posts.push_back(std::move(post));
    pending_bytes_ += bytes;
  });
  if (taken) posts.clear();
  return taken;
}

void Inbox::PostAlways(Command command) {
  Add([&] {
    pending_bytes_ += CostOf(command).bytes;
    pending_.posts.push_back({.command = std::move(command)});
  });
}

bool Inbox::HoldBack(size_t bytes) {
  std::lock_guard lock(mutex_);
  const bool room = bytes < held_back_bytes_;
  held_back_bytes_ = bytes;
  return room && std::exchange(pending_.refused, false);
}

void Inbox::Ask(Question question) {
  Add([&] { pending_.questions.push_back(std::move(question)); });
}

bool Inbox::PostProgress(CommitNumber written, CommitNumber synced) {
  return AddQuietly([&] {
    pending_.progressed = true;
    pending_.written = std::max(pending_.written, written);
    pending_.synced = std::max(pending_.synced, synced);
  });
}

void Inbox::PostRead(ReadResult result) {
  Add([&] { pending_.reads.push_back(std::move(result)); });
}

void Inbox::PostDiskState(DiskState state) {
  Add([&] { pending_.disk_state = state; });
}

void Inbox::PostStoreFailure(absl::Status status) {
  Add([&] { pending_.store_failure = std::move(status); });
}

void Inbox::PostStop() {
  Add([&] { pending_.stop = true; });
}

bool Inbox::Park() {
  std::lock_guard lock(mutex_);
  // Whoever posts clears the flag and wakes; until then nobody pays for a wake-up.
  parked_ = pending_.empty();
  return parked_;
}

void Inbox::Unpark() {
  std::lock_guard lock(mutex_);
  parked_ = false;
}

void Inbox::Take(Batch& batch) {
  std::lock_guard lock(mutex_);
  if (batch.posts.empty()) {
    std::swap(batch.posts, pending_.posts);
    batch.refused = std::exchange(pending_.refused, false);
    batch.stop = batch.stop || pending_.stop;
    pending_.stop = false;
    pending_bytes_ = 0;
  }
  if (batch.questions.empty()) std::swap(batch.questions, pending_.questions);
  if (batch.reads.empty()) std::swap(batch.reads, pending_.reads);
  if (pending_.disk_state) batch.disk_state = std::exchange(pending_.disk_state, std::nullopt);
  if (pending_.store_failure) batch.store_failure = std::exchange(pending_.store_failure, std::nullopt);
  if (std::exchange(pending_.progressed, false)) {
    batch.progressed = true;
    batch.written = pending_.written;
    batch.synced = pending_.synced;
  }
}

Inbox::Depth Inbox::depth() const {
  std::lock_guard lock(mutex_);
  return {.commands = pending_.posts.size(), .bytes = pending_bytes_};
}

}  // namespace baton

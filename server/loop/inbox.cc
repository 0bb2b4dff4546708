#include "server/loop/inbox.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace baton {
namespace {

// What a session publishes; null: something else.
const Publish* PublishOfSession(const Command& command) {
  const auto* publish = std::get_if<Publish>(&command);
  return publish != nullptr && publish->session ? publish : nullptr;
}

}  // namespace

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

bool Inbox::HasRoomFor(const std::vector<Post>& posts, Growth growth, CommandLines::Load load) const {
  const CommandLines::Load all = lines_.total(growth);
  if (all.commands == 0) return true;  // a post that is larger than the bounds would otherwise wait for ever
  if (all.commands >= options_.commands_max || all.bytes >= options_.bytes_max) return false;
  const CommandLines::Load own = lines_.OfLine(posts.front(), growth);
  return own.commands == 0 || (own.commands + load.commands <= options_.commands_max - all.commands &&
                               own.bytes + load.bytes <= options_.bytes_max - all.bytes);
}

bool Inbox::IsHalfFree() const {
  for (const Growth growth : {Growth::kGrows, Growth::kShrinks}) {
    const CommandLines::Load all = lines_.total(growth);
    if (all.commands > options_.commands_max / 2 || all.bytes > options_.bytes_max / 2) return false;
  }
  return true;
}

bool Inbox::TryPost(std::vector<Post>& posts) {
  if (posts.empty()) return true;
  Growth growth = Growth::kShrinks;
  bool publishes = false;
  bool to_disk = false;
  CommandLines::Load load{.commands = posts.size(), .bytes = 0};
  for (const Post& post : posts) {
    if (GrowthOf(post.command) == Growth::kGrows) growth = Growth::kGrows;
    if (const Publish* publish = PublishOfSession(post.command)) {
      publishes = true;
      to_disk = to_disk || publish->to_disk;
    }
    load.bytes += CostOf(post.command).bytes;
  }
  bool taken = false;
  Add([&] {
    taken = HasRoomFor(posts, growth, load);
    const size_t held_back = to_disk ? held_back_.for_disk : held_back_.for_memory;
    if (publishes && held_back > 0)
      taken = taken && held_back + lines_.total(growth).bytes + load.bytes <= options_.bytes_max;
    if (!taken) {
      pending_.refused = true;
      return;
    }
    for (Post& post : posts) lines_.Add(std::move(post), growth);
  });
  if (taken) posts.clear();
  return taken;
}

void Inbox::PostAlways(Command command, ClientId client) {
  Add([&] { lines_.Add({.command = std::move(command), .client = client}, Growth::kShrinks); });
}

bool Inbox::HoldBack(const HeldBack& held_back) {
  std::lock_guard lock(mutex_);
  const bool room = held_back.for_disk < held_back_.for_disk || held_back.for_memory < held_back_.for_memory;
  held_back_ = held_back;
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
  parked_ = pending_.empty() && lines_.empty();
  return parked_;
}

void Inbox::Unpark() {
  std::lock_guard lock(mutex_);
  parked_ = false;
}

void Inbox::Take(Batch& batch) {
  std::lock_guard lock(mutex_);
  if (batch.posts.empty()) {
    lines_.Take(options_.share, batch.posts);
    if (pending_.refused && IsHalfFree()) batch.refused = std::exchange(pending_.refused, false);
    batch.stop = batch.stop || (pending_.stop && lines_.empty());
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
  Depth depth;
  for (const Growth growth : {Growth::kGrows, Growth::kShrinks}) {
    depth.commands += lines_.total(growth).commands;
    depth.bytes += lines_.total(growth).bytes;
  }
  return depth;
}

}  // namespace baton

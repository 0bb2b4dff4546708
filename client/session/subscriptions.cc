#include "client/session/subscriptions.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/limits.h"
#include "client/session/convert.h"

namespace baton::client {

uint64_t Subscriptions::NewId() {
  MutexLock lock(mutex_);
  return ++last_id_;
}

void Subscriptions::Add(std::shared_ptr<ConsumerCore> consumer) {
  const uint64_t id = consumer->subscription();
  MutexLock lock(mutex_);
  entries_[id].consumer = std::move(consumer);
}

void Subscriptions::End(uint64_t subscription) {
  MutexLock lock(mutex_);
  if (const auto entry = entries_.find(subscription); entry != entries_.end())
    entry->second.to_be_ended = true;
}

void Subscriptions::Remove(uint64_t subscription) {
  std::shared_ptr<ConsumerCore> consumer;  // dies outside the lock
  MutexLock lock(mutex_);
  const auto entry = entries_.find(subscription);
  if (entry == entries_.end()) return;
  consumer = std::move(entry->second.consumer);
  entries_.erase(entry);
}

void Subscriptions::Finish(uint64_t subscription, const absl::Status& status) {
  std::shared_ptr<ConsumerCore> consumer;
  {
    MutexLock lock(mutex_);
    const auto entry = entries_.find(subscription);
    if (entry == entries_.end()) return;
    entry->second.over = true;
    consumer = entry->second.consumer;
  }
  consumer->OnEnded(status);
}

std::vector<std::shared_ptr<ConsumerCore>> Subscriptions::All() {
  std::vector<std::shared_ptr<ConsumerCore>> all;
  MutexLock lock(mutex_);
  for (const auto& [id, entry] : entries_) all.push_back(entry.consumer);
  return all;
}

void Subscriptions::OnDisconnected() {
  {
    MutexLock lock(mutex_);
    for (auto& [id, entry] : entries_) {
      entry.known_to_broker = false;
      entry.end_sent = false;
    }
  }
  for (const auto& consumer : All()) consumer->OnDisconnected();
}

void Subscriptions::Fill(v1::ClientFrame& frame, bool may_subscribe) {
  std::vector<uint64_t> unknown;
  {
    MutexLock lock(mutex_);
    for (auto& [id, entry] : entries_) {
      if (entry.over) continue;
      if (entry.to_be_ended) {
        if (!entry.known_to_broker) {
          unknown.push_back(id);
        } else if (!entry.end_sent) {
          entry.end_sent = true;
          frame.add_unsubscribe()->set_subscription(id);
        }
      } else if (!entry.known_to_broker && may_subscribe) {
        entry.known_to_broker = true;
        entry.consumer->FillSubscribe(*frame.add_subscribe());
      }
    }
  }
  for (const uint64_t id : unknown) Finish(id, absl::OkStatus());
}

void Subscriptions::EndUnconnected() {
  v1::ClientFrame nothing;
  Fill(nothing, /*may_subscribe=*/false);
}

void Subscriptions::OnSubscribed(const v1::Subscribed& answer) {
  if (answer.has_error()) return Finish(answer.subscription(), FromProto(answer.error()));
  std::shared_ptr<ConsumerCore> consumer;
  {
    MutexLock lock(mutex_);
    const auto entry = entries_.find(answer.subscription());
    if (entry == entries_.end()) return;
    entry->second.lease = std::chrono::milliseconds(static_cast<int64_t>(answer.lease_ms()));
    consumer = entry->second.consumer;
  }
  consumer->OnSubscribed();
}

absl::Status Subscriptions::OnDeliveries(v1::Deliveries& deliveries, uint64_t session, Epoch epoch) {
  std::chrono::milliseconds lease{0};
  std::shared_ptr<ConsumerCore> consumer;
  {
    MutexLock lock(mutex_);
    const auto entry = entries_.find(deliveries.subscription());
    if (entry != entries_.end() && entry->second.known_to_broker && !entry->second.over) {
      lease = entry->second.lease;
      consumer = entry->second.consumer;
    }
  }
  if (consumer == nullptr || lease.count() <= 0) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, reason::kProtocolViolation,
        fmt::format("the broker delivered to the subscription {}, which it had not confirmed, or had ended",
                    deliveries.subscription()));
  }
  const DeliveryChunk::Source source{.session = session,
                                     .epoch = epoch,
                                     .received = std::chrono::steady_clock::now(),
                                     .lease = std::min(lease, kLeaseMax)};
  auto chunk = DeliveryChunk::Make(deliveries, source, consumer);
  if (!chunk.ok()) return chunk.status();
  renew_at_ = std::min(renew_at_, (*chunk)->renew_at());
  consumer->OnDelivered(*std::move(chunk));
  return absl::OkStatus();
}

void Subscriptions::OnEnded(const v1::SubscriptionEnded& ended) {
  Finish(ended.subscription(), ended.has_error() ? FromProto(ended.error()) : absl::OkStatus());
}

SteadyTime Subscriptions::RenewLeases(SteadyTime now) {
  if (now < renew_at_) return renew_at_;
  renew_at_ = SteadyTime::max();
  for (const auto& consumer : All()) renew_at_ = std::min(renew_at_, consumer->RenewLeases(now));
  return renew_at_;
}

void Subscriptions::Fail(const absl::Status& error) {
  for (const auto& consumer : All()) Finish(consumer->subscription(), error);
}

void Subscriptions::Clear() {
  std::map<uint64_t, Entry> entries;  // die outside the lock
  MutexLock lock(mutex_);
  entries.swap(entries_);
}

}  // namespace baton::client

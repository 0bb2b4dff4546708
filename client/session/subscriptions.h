// Which consumers one client has, and which of them the broker knows of on the present connection.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "baton/v1/session.pb.h"
#include "client/mutex.h"
#include "client/session/consumer_core.h"
#include "client/session/delivery_chunk.h"

namespace baton::client {

class Subscriptions {
 public:
  // --- any thread ---

  uint64_t NewId();
  void Add(std::shared_ptr<ConsumerCore> consumer);
  // The consumer wants no more; OnEnded will tell it that nothing comes any more.
  void End(uint64_t subscription);
  void Remove(uint64_t subscription);
  std::vector<std::shared_ptr<ConsumerCore>> All();

  // --- session's thread ---

  void OnDisconnected();
  // Puts what the broker has to be told into `frame`; new subscriptions only with `may_subscribe`.
  void Fill(v1::ClientFrame& frame, bool may_subscribe);
  // Ends those that want to end while there is no broker to be told.
  void EndUnconnected();

  void OnSubscribed(const v1::Subscribed& answer);
  absl::Status OnDeliveries(v1::Deliveries& deliveries, uint64_t session, Epoch epoch);
  void OnEnded(const v1::SubscriptionEnded& ended);
  // Renews the leases that are due; returns when the next ones are.
  SteadyTime RenewLeases(SteadyTime now);
  // All are over.
  void Fail(const absl::Status& error);
  // Lets go of them: they hold the session, which holds this.
  void Clear();

 private:
  struct Entry {
    std::shared_ptr<ConsumerCore> consumer;
    bool known_to_broker = false;  // Subscribe was sent on this connection
    bool to_be_ended = false;
    bool end_sent = false;
    bool over = false;  // ended; kept until Remove, because what was delivered may still be handled and needs
                        // its lease
    std::chrono::milliseconds lease{0};  // as the broker said
  };

  void Finish(uint64_t subscription, const absl::Status& status);

  Mutex mutex_;
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, Entry> entries_ ABSL_GUARDED_BY(mutex_);

  SteadyTime renew_at_ = SteadyTime::max();  // session's thread: no lease is due before
};

}  // namespace baton::client

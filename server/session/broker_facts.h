// What every transport needs to know of the broker it serves. One per broker; constant but for the counters.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "server/loop/broker_time.h"
#include "server/loop/inbox.h"
#include "server/loop/memory_queue_names.h"
#include "server/loop/rate_limited_log.h"
#include "server/session/publish_credit.h"
#include "server/session/session_frames.h"
#include "server/session/session_outbox.h"
#include "storage/store.h"

namespace baton {

struct BrokerFacts {
  // Constant once the broker serves.
  std::string version;
  Epoch epoch;
  MessageLimits limits;
  PublishCredit::Limit publish_credit{.messages = kPublishCreditMessages, .bytes = kPublishCreditBytes};
  // Of one frame: a largest body, and what is around it.
  size_t frame_bytes_max() const { return limits.body_bytes_max + (1u << 20); }
  size_t sessions_max = kSessionsDefaultMax;
  size_t ring_sessions_max = kSessionsDefaultMax;  // of these, over rings
  size_t calls_max = kSessionsDefaultMax;          // unary calls under way
  std::string data_dir;
  uint64_t memory_budget = 0;
  size_t grpc_bytes_max = 64u << 20;   // what gRPC may hold for all its connections
  size_t ring_bytes_max = SIZE_MAX;    // then rings are the smallest
  std::vector<std::string> listening;  // addresses
  const BrokerTime* time = nullptr;
  const Store* store = nullptr;
  Inbox* inbox = nullptr;
  MemoryQueueNames memory_queues;
  RateLimitedLog* incidents = nullptr;  // what clients did that was not let pass; null = nobody listens

  void NoteIncident(const RateLimitedLog::Line& line) {
    if (incidents != nullptr) incidents->Note(line, std::chrono::steady_clock::now());
  }

  // Any thread. Order does not matter to anyone: only that each number is given once.
  SessionId NextSession() { return SessionId(next_session.fetch_add(1, std::memory_order_relaxed)); }
  CallId NextCall() { return CallId(next_call.fetch_add(1, std::memory_order_relaxed)); }
  std::atomic<uint64_t> next_session{1};
  std::atomic<uint64_t> next_call{1};
  std::atomic<size_t> sessions{0};  // streams under way
  SessionOutbox::Total outbox_bytes;
  SessionOutbox::Total answer_bytes;  // the same of unary calls
  std::atomic<size_t> ring_bytes{0};  // shared memory of local clients
};

}  // namespace baton

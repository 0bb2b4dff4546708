// A limit on everything, in one place. Checked at the edge (transport, configuration); the engine may rely on
// them. Bytes unless the name says otherwise.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace baton {

// Names and messages.
inline constexpr size_t kQueueNameLengthMax = 128;
inline constexpr size_t kBodyBytesDefaultMax = 4u << 20;     // option body_bytes_max
inline constexpr size_t kBodyBytesCeiling = 64u << 20;       // what that option may be raised to
inline constexpr size_t kHeaderBytesDefaultMax = 16u << 10;  // all headers of one message, encoded
inline constexpr size_t kHeaderCountMax = 64;
inline constexpr size_t kReasonBytesMax = 256;  // a nack's reason; longer ones are refused
inline constexpr uint32_t kHopsMax = 8;         // dead-letterings of one message before it is parked

// Damage to the store: each place is told once, up to so many.
inline constexpr size_t kDamageReportsMax = 1'000;

// Times. TTLs, delays and leases are whole milliseconds on the wire.
inline constexpr std::chrono::milliseconds kTtlMax = std::chrono::hours(24) * 3650;
inline constexpr std::chrono::milliseconds kDelayMax = std::chrono::hours(24) * 3650;
inline constexpr std::chrono::milliseconds kLeaseMin{100};
inline constexpr std::chrono::milliseconds kLeaseMax = std::chrono::hours(12);
inline constexpr std::chrono::milliseconds kLeaseDefault = std::chrono::seconds(30);
inline constexpr std::chrono::milliseconds kReceiveWaitMax = std::chrono::minutes(5);
inline constexpr uint32_t kAttemptsDefaultMax = 16;
inline constexpr uint32_t kAttemptsCeiling = 1'000'000;

// Sessions.
inline constexpr size_t kSessionsDefaultMax = 10'000;  // option sessions_max
inline constexpr size_t kSubscriptionsPerSessionMax = 1'024;
inline constexpr uint32_t kPublishCreditMessages = 4'096;  // unconfirmed publishes a session may have
inline constexpr size_t kPublishCreditBytes = 8u << 20;    // their bodies; one larger message may stand alone
inline constexpr uint32_t kCreditMessagesMax = 65'536;     // unsettled deliveries of one subscription
inline constexpr size_t kUnsettledPerSessionMax = 262'144;  // of all its subscriptions, also ended ones
inline constexpr size_t kCreditBytesDefault = 16u << 20;
inline constexpr uint64_t kCreditBytesMax = 256u << 20;
inline constexpr size_t kBatchMessagesMax = 4'096;  // messages in one publish or receive
// Subscriptions, credits and ends of subscriptions in one frame. Each is a few bytes on the wire, and much
// more once it is a command. (Publishes are bounded by credit, settlements by their tags.)
inline constexpr size_t kFrameEntriesMax = 16 * kSubscriptionsPerSessionMax;
inline constexpr size_t kSettleTagsMax = 65'536;  // tags named by one frame's settlements
inline constexpr size_t kFrameBytesMax = kBodyBytesCeiling + (1u << 20);
inline constexpr size_t kOutboxBytesMax = 32u << 20;        // results waiting for a session to take them
inline constexpr std::chrono::seconds kOutboxStallMax{10};  // to take a frame of them; then the session ends
inline constexpr size_t kOutboxPaceMin = 64u << 10;         // a second: what a large frame may take longer

// Producers (idempotent publish).
inline constexpr uint32_t kProducerWindow =
    1'024;  // accepted sequences the broker remembers behind the highest
inline constexpr std::chrono::hours kProducerIdle{24 * 7};
inline constexpr size_t kProducersMax = 100'000;
// At the limit one is forgotten, first of those that were used for less than this.
inline constexpr std::chrono::seconds kProducerKnownAfter{10};

// The broker.
inline constexpr size_t kQueuesMax = 100'000;
inline constexpr size_t kCommitBytesMax = 256u << 20;    // one commit; a single frame stays far below
inline constexpr size_t kCommitJoinBytesMax = 4u << 20;  // commits joined into one write
// Handed over and not yet written; then publishes wait.
inline constexpr size_t kUncommittedBytesMax = 64u << 20;
inline constexpr size_t kReadsInFlightMax = 256;
inline constexpr size_t kInboxCommandsMax = 65'536;

}  // namespace baton

#include "server/local/local_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "local/handshake.h"
#include "server/session/frame_shape.h"

namespace baton {
namespace {

// What one session may bring in one turn, and what frames and their entries cost of it beyond their bytes.
constexpr int64_t kTurnAllowance = 64 << 10;
constexpr int64_t kDearAllowance = 4 * kTurnAllowance;  // below it: many entries in few bytes
constexpr uint32_t kDearSecondsTold = 3;
constexpr int64_t kFrameCost = 64;
constexpr int64_t kEntryTurnCost = 64;
constexpr size_t kPlainFrameBytesMax = 64u << 10;
// A message that is read into again and again keeps its memory, and is let go of after so much.
constexpr size_t kInCostMax = 256u << 10;
constexpr size_t kEntryCost = 256;
// A large message is not kept to be written into again.
constexpr size_t kKeptOutBytesMax = 512u << 10;
// Bells may come late, when what they were rung for has been seen already. A client that does nothing else
// wastes the broker's time.
constexpr uint32_t kFalseBellsMax = 1'000;
constexpr uint64_t kBellsDueMax = 64;
constexpr uint32_t kHelloSecondsMax = 10;
constexpr auto kStallSecondsMax = static_cast<uint32_t>(kOutboxStallMax.count());
// Of a large frame, while others wait for its room: how much is to come each second, and for how long it may
// be less.
constexpr uint64_t kLargePaceMin = 256u << 10;
constexpr uint32_t kLargeSlowSecondsMax = 1;
// Of what it is told, while others wait for its room.
constexpr uint32_t kTakingSlowSecondsMax = 2;

int EntriesOf(const v1::ClientFrame& frame) {
  return frame.subscribe_size() + frame.publish_size() + frame.settle_size() + frame.credit_size() +
         frame.unsubscribe_size();
}

}  // namespace

LocalSession::LocalSession(const Context& context, LocalClient client)
    : facts_(context.facts),
      large_frames_(context.large_frames),
      client_(std::move(client)),
      receiver_(client_.segment.FromClient(), context.facts->frame_bytes_max(), kPlainFrameBytesMax),
      sender_(client_.segment.ToClient()),
      session_(std::make_shared<ClientSession>(context.facts, client_.peer.text, context.wake)) {
  facts_->ring_bytes.fetch_add(client_.segment.bytes(), std::memory_order_relaxed);
}

LocalSession::~LocalSession() {
  facts_->ring_bytes.fetch_sub(client_.segment.bytes(), std::memory_order_relaxed);
  large_frames_->Forget(id());
  GiveBackMemory();
}

// ---- What the client says.

bool LocalSession::Read(size_t& cost) {
  if (over_) return false;
  const uint64_t moved_before = bytes_read_ + sender_.bytes_moved();
  allowance_ = std::min(allowance_ + kTurnAllowance, kTurnAllowance);
  const int64_t allowance_before = allowance_;
  while (allowance_ > 0 && WantsFrames() && ReadFrame()) {
  }
  cost += static_cast<size_t>(allowance_before - allowance_);
  is_dear_ = is_dear_ || allowance_ < -kDearAllowance;
  if (receiver_.Release()) RingBell(socket());
  Pump();
  const bool any = bytes_read_ + sender_.bytes_moved() != moved_before;
  was_active_ = was_active_ || any;
  if (!over_ && allowance_ <= 0 && WantsFrames() && receiver_.HasData()) return true;  // later
  if (std::exchange(rung_, false)) JudgeBell(any);
  return any;
}

void LocalSession::JudgeBell(bool had_cause) {
  false_bells_ = had_cause ? false_bells_ - std::min(false_bells_, 1u) : false_bells_ + 1;
  if (false_bells_ > kFalseBellsMax) Violate("it rings without end, and has nothing to say");
}

// One frame, or what has come of it. False: no further frame is to be had now.
bool LocalSession::ReadFrame() {
  auto budget = static_cast<size_t>(allowance_);
  const FrameReceiver::State state = receiver_.Pull(budget);
  const int64_t taken = allowance_ - static_cast<int64_t>(budget);
  allowance_ -= taken;
  bytes_read_ += static_cast<uint64_t>(taken);
  switch (state) {
    case FrameReceiver::State::kFrame:
      OnFrame();
      return true;
    case FrameReceiver::State::kNothing:
      return false;
    case FrameReceiver::State::kLarge:
      waits_for_memory_ = !large_frames_->Take(id(), receiver_.wanted_bytes(), receiver_.missing_bytes());
      if (waits_for_memory_) return false;
      TakeLargeFrame();
      return true;
    case FrameReceiver::State::kTooLarge:
      Violate(fmt::format("a frame of {} bytes; at most {} are allowed", receiver_.expected_bytes(),
                          facts_->frame_bytes_max()));
      return false;
    case FrameReceiver::State::kBroken:
      Violate("an index of the ring makes no sense");
      return false;
  }
  return false;
}

void LocalSession::OnFrame() {
  const std::string_view frame = receiver_.frame();
  if (const absl::Status shape = CheckFrameShape(frame); !shape.ok()) return CutOff(shape);
  if (!in_.ParseFromArray(frame.data(), static_cast<int>(frame.size()))) {
    Violate("a frame cannot be read");
    return;
  }
  Follow(session_->OnFrame(in_));
  const int entries = EntriesOf(in_);
  allowance_ -= kFrameCost + kEntryTurnCost * entries;
  in_cost_ += frame.size() + kEntryCost * static_cast<size_t>(entries);
  if (in_cost_ <= kInCostMax) return;
  v1::ClientFrame().Swap(&in_);
  in_cost_ = 0;
}

void LocalSession::Follow(ClientSession::Reading reading) {
  refused_ = reading == ClientSession::Reading::kRefused;
  if (!refused_) GiveBackMemory();  // a large frame's: until the inbox has it
  leaving_ = leaving_ || reading == ClientSession::Reading::kStop;
}

void LocalSession::Retry() {
  if (!std::exchange(refused_, false) || over_) return;
  Follow(session_->Retry());
  active_ = true;
}

void LocalSession::TakeLargeFrame() {
  waits_for_memory_ = false;
  large_bytes_ += receiver_.wanted_bytes();
  receiver_.Allow();
  active_ = true;
}

void LocalSession::OnBells() {
  const auto bells = TakeBells(socket());
  if (!bells.has_value()) return Lose();
  if (*bells > bells_due_) return Violate("it rings more often than it is asked to");
  bells_due_ -= *bells;
  rung_ = rung_ || *bells > 0;
  active_ = true;
}

// ---- What it hears.

void LocalSession::Pump() {
  while (!over_) {
    if (sender_.Push()) RingBell(socket());
    if (sender_.broken()) return Lose();
    if (!sender_.idle()) return;
    out_.Clear();
    if (session_->TakeFrame(out_)) {
      sender_.Begin(out_);
      seconds_taking_ = 0;
      taking_time_max_ = SessionOutbox::TakingTimeMax(sender_.bytes_waiting());
      if (sender_.bytes_waiting() > kKeptOutBytesMax) v1::ServerFrame().Swap(&out_);
      was_active_ = true;
      continue;
    }
    over_ = session_->IsOver();  // the client finds what is in the ring, and the socket closed
    return;
  }
}

// ---- Sleep.

// A bell is due from the moment that it is asked for: the client may have seen that, even if it turns out at
// once that there was no need to ask.
bool LocalSession::Arm() {
  if (over_) return true;
  armed_for_frames_ = WantsFrames();
  const bool waits_for_room = !sender_.idle();
  bells_due_ =
      std::min(bells_due_ + (armed_for_frames_ ? 1u : 0u) + (waits_for_room ? 1u : 0u), kBellsDueMax);
  if (armed_for_frames_ && !receiver_.WaitForData()) return false;
  const bool sleeps = !waits_for_room || sender_.WaitForRoom();
  if (!sleeps || sender_.broken()) {
    receiver_.StopWaiting();
    return false;
  }
  active_ = false;
  return true;
}

// ---- The end.

void LocalSession::End(const absl::Status& why) {
  session_->End(why);
  leaving_ = true;
  Pump();
}

// It hears why when there is room for it, and is cut off in any case.
void LocalSession::Violate(std::string_view what) { CutOff(ProtocolViolation(what)); }

void LocalSession::CutOff(const absl::Status& why) {
  End(why);
  if (!over_) Lose();
}

void LocalSession::Lose() {
  session_->Lost();
  over_ = true;
}

void LocalSession::GiveBackMemory() {
  large_frames_->GiveBack(id(), std::exchange(large_bytes_, 0));
  seconds_in_frame_ = 0;
  slow_seconds_ = 0;
}

void LocalSession::OnSecond() {
  if (over_) return;
  session_->ResumeDeliveries();
  if (!session_->said_hello() && ++seconds_without_hello_ > kHelloSecondsMax) {
    return Violate(fmt::format("no Hello came within {} seconds", kHelloSecondsMax));
  }
  JudgePace();
  if (over_) return;
  dear_seconds_ = std::exchange(is_dear_, false) ? dear_seconds_ + 1 : 0;
  if (dear_seconds_ == kDearSecondsTold) {
    facts_->NoteIncident({.event = "a session keeps sending frames of thousands of small entries",
                          .peer = client_.peer.text,
                          .done = "it is read in its turn only, and waits for what it costs"});
  }
  if (std::exchange(was_active_, false) || !sender_.idle()) return;
  session_->FreeSpareMemory();
  receiver_.FreeSpareMemory();
  sender_.FreeSpareMemory();
  v1::ServerFrame().Swap(&out_);
  v1::ClientFrame().Swap(&in_);
  in_cost_ = 0;
}

// Each direction by itself: who takes nothing must not be let stay because he goes on talking.
void LocalSession::JudgePace() {
  reading_.Note(bytes_read_, receiver_.InFrame() && WantsFrames() && allowance_ > 0);
  writing_.Note(sender_.bytes_moved(), !sender_.idle());
  if (std::max(reading_.seconds(), writing_.seconds()) > kStallSecondsMax) {
    return Violate(fmt::format("it has not gone on with a frame for {} seconds", kStallSecondsMax));
  }
  seconds_taking_ += sender_.idle() ? 0 : 1;
  if (std::chrono::seconds(seconds_taking_) > taking_time_max_) {
    return Violate(fmt::format("it has not taken a frame within {} seconds", taking_time_max_.count()));
  }
  const uint64_t went = sender_.bytes_moved() - std::exchange(bytes_taken_before_, sender_.bytes_moved());
  const bool holds_up = !sender_.idle() && went < kOutboxPaceMin && facts_->outbox_bytes.awaited.load();
  slow_taking_seconds_ = holds_up ? slow_taking_seconds_ + 1 : 0;
  if (slow_taking_seconds_ > kTakingSlowSecondsMax) {
    return Violate(
        fmt::format("it takes {} bytes a second of what it is told, and others wait for the memory", went));
  }
  const uint64_t came = bytes_read_ - std::exchange(bytes_read_before_, bytes_read_);
  seconds_in_frame_ += receiver_.InFrame() && WantsFrames() && allowance_ > 0 ? 1 : 0;
  if (seconds_in_frame_ > kStallSecondsMax) {
    return Violate(fmt::format("a frame has not come within {} seconds", kStallSecondsMax));
  }
  if (large_bytes_ == 0 || refused_) return;
  const bool is_slow = WantsFrames() && !receiver_.HasData() && came < kLargePaceMin;
  slow_seconds_ = is_slow && large_frames_->SomeoneWaits() ? slow_seconds_ + 1 : 0;
  if (slow_seconds_ > kLargeSlowSecondsMax) {
    Violate(
        fmt::format("a large frame goes on with {} bytes a second, and others wait for its memory", came));
  }
}

}  // namespace baton

// doomed_ring_client SOCKET EVENTS NAME publish|consume QUEUE SEED : a client over rings that is there to be
// stopped and killed. It works without end, connects again when its session has ended, and appends a line to
// the file EVENTS about everything that matters: what it had written when it was killed is what its test
// knows of it. Its bodies are of all sizes, also larger than a ring.
//
//   confirmed KEY     the broker's answer to a publish
//   acking KEY        was delivered, and will be acked; every third is kept for ever
//   acked KEY         the broker's answer
//
// On standard output it says "working" once it has done anything.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "tests/support/raw_stream.h"
#include "tests/support/test_body.h"

namespace baton {
namespace {

class DoomedClient {
 public:
  explicit DoomedClient(char** arguments)
      : socket_path_(arguments[1]),
        events_(open(arguments[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)),
        name_(arguments[3]),
        queue_(arguments[5]),
        random_(std::strtoull(arguments[6], nullptr, 10)) {
    BATON_CHECK(events_ >= 0) << arguments[2];
  }

  // Each until its session has ended.
  void Publish() {
    const auto stream = OpenGreeted();
    std::deque<std::string> unconfirmed;
    uint64_t sequence = 1;
    v1::ServerFrame heard;
    while (true) {
      v1::ClientFrame frame;
      v1::PublishBatch* batch = frame.add_publish();
      batch->set_queue(queue_);
      batch->set_first_sequence(sequence);
      for (uint64_t messages = 1 + random_() % 8; messages > 0; --messages, ++sequence) {
        unconfirmed.push_back(fmt::format("{}-{}", name_, ++published_));
        const size_t size = 64 + random_() % (random_() % 50 == 0 ? 400'000 : 2'000);
        batch->mutable_bodies()->append(MakeTestBody(unconfirmed.back(), size));
        batch->add_body_sizes(static_cast<uint32_t>(size));
      }
      stream->Write(frame);
      while (unconfirmed.size() > 32) {
        if (!stream->Read(heard)) return;
        for (const v1::Confirm& confirm : heard.confirms()) {
          BATON_CHECK_EQ(confirm.errors_size(), 0) << confirm.ShortDebugString();
          for (uint64_t i = confirm.first_sequence(); i <= confirm.last_sequence(); ++i) {
            Note("confirmed", unconfirmed.front());
            unconfirmed.pop_front();
          }
        }
      }
    }
  }

  void Consume() {
    const auto stream = OpenGreeted();
    v1::ClientFrame subscribe;
    subscribe.add_subscribe()->set_subscription(1);
    subscribe.mutable_subscribe(0)->set_queue(queue_);
    subscribe.mutable_subscribe(0)->set_credit_messages(64);
    subscribe.mutable_subscribe(0)->set_credit_bytes(64u << 20);
    stream->Write(subscribe);
    std::deque<std::string> acking;
    uint64_t answered = 0;
    v1::ServerFrame heard;
    while (stream->Read(heard)) {
      for (const v1::SettleReply& reply : heard.settled()) {
        BATON_CHECK_EQ(reply.errors_size(), 0) << reply.ShortDebugString();
        for (; answered < reply.through(); ++answered) {
          Note("acked", acking.front());
          acking.pop_front();
        }
      }
      v1::ClientFrame frame;
      for (const v1::Deliveries& deliveries : heard.deliveries()) AckMost(deliveries, frame, acking);
      if (frame.settle_size() > 0) stream->Write(frame);
    }
  }

 private:
  std::unique_ptr<RawStream> OpenGreeted() {
    auto stream = OpenRingStream(socket_path_);
    v1::ClientFrame frame;
    frame.mutable_hello()->set_protocol_version(1);
    frame.mutable_hello()->set_client_name(name_);
    stream->Write(frame);
    return stream;
  }

  void AckMost(const v1::Deliveries& deliveries, v1::ClientFrame& frame, std::deque<std::string>& acking) {
    size_t at = 0;
    for (int i = 0; i < deliveries.body_sizes_size(); ++i) {
      const uint64_t tag = deliveries.first_tag() + static_cast<uint64_t>(i);
      const std::string key = KeyOfTestBody(deliveries.bodies().substr(at, deliveries.body_sizes(i)));
      at += deliveries.body_sizes(i);
      BATON_CHECK(!key.empty()) << "a body that is not whole";
      if (tag % 3 == 0) continue;
      Note("acking", key);
      acking.push_back(key);
      v1::Settle* settle = frame.add_settle();
      settle->set_kind(v1::Settle::ACK);
      settle->add_tags(tag);
      settle->add_tags(0);
    }
  }

  // One write, so that a kill leaves whole lines.
  void Note(const char* what, const std::string& key) {
    const std::string line = fmt::format("{} {}\n", what, key);
    BATON_CHECK_EQ(write(events_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
    if (std::exchange(said_, true)) return;
    std::puts("working");
    std::fflush(stdout);
  }

  const std::string socket_path_;
  const int events_;
  const std::string name_;
  const std::string queue_;
  std::mt19937_64 random_;
  uint64_t published_ = 0;
  bool said_ = false;
};

int Run(int argc, char** argv) {
  BATON_CHECK(argc == 7) << "doomed_ring_client SOCKET EVENTS NAME publish|consume QUEUE SEED";
  DoomedClient client(argv);
  const bool publishes = std::string(argv[4]) == "publish";
  while (true) {
    publishes ? client.Publish() : client.Consume();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // it may not be taken
  }
}

}  // namespace
}  // namespace baton

int main(int argc, char** argv) { return baton::Run(argc, argv); }

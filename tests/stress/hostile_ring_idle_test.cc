// Hostile clients that have left something odd behind and now do nothing: the broker must do nothing either.
// A broker of its own process, whose time and memory are its own.
#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "baton/client.h"
#include "tests/stress/process_facts.h"
#include "tests/stress/ring_intruder.h"
#include "tests/support/broker_process.h"

namespace baton {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What each has left behind; none of it is against the rules in such a way that the broker sees it at once.
const std::vector<std::pair<const char*, void (*)(RingIntruder&)>> kOddities = {
    {"every flag is set",
     [](RingIntruder& intruder) {
       for (RingIndices* indices : {&intruder.to_broker(), &intruder.to_client()}) {
         indices->reader_waits = UINT32_MAX;
         indices->writer_waits = UINT32_MAX;
       }
     }},
    {"no flag is set",
     [](RingIntruder& intruder) {
       intruder.to_broker().reader_waits = 0;
       intruder.to_client().writer_waits = 0;
     }},
    {"it was woken without a cause",
     [](RingIntruder& intruder) {
       intruder.to_broker().writer_waits = 1;
       intruder.Knock();
     }},
    {"half a length", [](RingIntruder& intruder) { intruder.SayBytes("\x10"); }},
    {"half a frame",
     [](RingIntruder& intruder) {
       intruder.SayLength(10'000);
       intruder.SayBytes("half");
     }},
    {"half a large frame",
     [](RingIntruder& intruder) {
       intruder.SayLength(4u << 20);
       intruder.SayBytes(std::string(100'000, 'x'));
     }},
    {"the ring is full of a frame that it waits with",
     [](RingIntruder& intruder) {
       intruder.SayLength(4u << 20);
       intruder.SayBytes(std::string(intruder.to_broker_bytes().size(), 'x'));
     }},
    {"more to read than its ring takes",
     [](RingIntruder& intruder) { (void)intruder.Subscribe(1, "large", 10); }},
    {"the same, and a nonsensical index",
     [](RingIntruder& intruder) {
       (void)intruder.Subscribe(1, "large", 10);
       std::this_thread::yield();
       intruder.to_client().head = UINT64_MAX;
     }},
    {"the header is gone",
     [](RingIntruder& intruder) { std::fill_n(intruder.memory().data(), kToBrokerIndicesOffset, '\xff'); }}};

TEST(HostileRingProcess, WhoDoesNothingCostsNothingWhateverHeLeftBehind) {
  BrokerProcess broker({.flags = {"--memory-budget", "64MiB"}});
  ASSERT_EQ(broker.Start(), "");
  const pid_t process = broker.process().pid();
  auto client = Client::Connect({.url = broker.url()});
  ASSERT_TRUE(client.ok()) << client.status();
  ASSERT_TRUE(client->CreateQueue("large", {}).ok());
  auto producer = client->NewProducer();
  ASSERT_TRUE(producer.ok());
  for (int i = 0; i < 10; ++i) {
    client_api::Message message;
    message.body = std::string(200'000, 'x');
    ASSERT_TRUE(producer->Publish("large", message).get().ok());
  }
  const size_t memory_before = ResidentBytesOf(process);
  std::vector<std::unique_ptr<RingIntruder>> intruders;
  for (const auto& [name, leave] : kOddities) {
    for (int i = 0; i < 5; ++i) {
      intruders.push_back(std::make_unique<RingIntruder>(broker.runtime_dir() + "/baton.sock"));
      ASSERT_TRUE(intruders.back()->SayHello()) << name;
      leave(*intruders.back());
    }
  }
  std::this_thread::sleep_for(milliseconds(500));  // whatever there is to do at once

  const milliseconds busy_before = CpuTimeOf(process);
  EXPECT_GT(busy_before, milliseconds(0)) << "it is not the broker that is measured";
  std::this_thread::sleep_for(seconds(2));
  const milliseconds busy = CpuTimeOf(process) - busy_before;
  std::printf("busy for %lld ms of 2 s\n", static_cast<long long>(busy.count()));
  EXPECT_LT(busy, milliseconds(400));
  EXPECT_LT(ResidentBytesOf(process), memory_before + (128u << 20));

  intruders.clear();
  client_api::Message message;
  EXPECT_TRUE(producer->Publish("large", message).get().ok()) << "it serves";
  EXPECT_TRUE(client->Close().ok());
  EXPECT_EQ(broker.Stop(SIGTERM, seconds(20)), 0) << broker.errors();
}

}  // namespace
}  // namespace baton

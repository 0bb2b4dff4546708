// The metrics of a queue add up, as docs/operations.md says they do.
#include "server/http/metrics.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "tests/support/engine_fixture.h"

namespace baton {
namespace {

using namespace std::chrono_literals;

// The sum of the series of one family that have this label.
double Sum(const std::string& metrics, const std::string& family, const std::string& queue) {
  double sum = 0;
  std::istringstream lines(metrics);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(family + "{") || line.find("queue=\"" + queue + "\"") == std::string::npos)
      continue;
    sum += std::stod(line.substr(line.rfind(' ')));
  }
  return sum;
}

TEST(Metrics, OfAQueueSayWhereEveryMessageWent) {
  EngineFixture broker;
  ASSERT_TRUE(broker.Create("dead").ok());
  ASSERT_TRUE(broker.Update("orders", {.attempts_max = 1, .dead_letter_queue = "dead"}).ok());
  broker.PublishMany("orders", 3);
  broker.Restart();
  broker.PublishMany("orders", 8);
  EXPECT_TRUE(broker.Ack(broker.Receive("orders").value()).ok());
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());
  EXPECT_TRUE(broker.DeleteMessage(broker.List("orders", MessageState::kReady).messages.at(0).id).ok());
  EXPECT_EQ(broker.Purge("dead"), 1u);
  broker.Publish("orders", "short-lived", {.ttl = 1s});
  ASSERT_TRUE(broker.Update("orders", {.dead_letter_queue = ""}).ok());
  EXPECT_TRUE(broker.Nack(broker.Receive("orders").value()).ok());  // parked
  broker.Receive("orders");                                         // leased
  broker.Advance(1s);

  BrokerReport report;
  report.queues.queues = {broker.Queue("dead"), broker.Queue("orders")};
  const std::string metrics = FormatMetrics(report, 0, 0);

  for (const char* queue : {"orders", "dead"}) {
    const auto total = [&](const std::string& what) {
      const std::string family = "baton_queue_" + what + "_total";
      EXPECT_NE(metrics.find("# HELP " + family), std::string::npos);
      return Sum(metrics, family, queue);
    };
    const double came = total("found") + total("published") + total("arrived");
    const double left = total("acked") + total("expired") + total("dropped") + total("dead_lettered") +
                        total("purged") + total("deleted") + total("lost");
    EXPECT_EQ(came, left + Sum(metrics, "baton_queue_messages", queue)) << queue << metrics;
    EXPECT_GT(came, 0) << queue;
  }
  EXPECT_EQ(Sum(metrics, "baton_queue_expired_total", "orders"), 1);
  EXPECT_EQ(Sum(metrics, "baton_queue_found_total", "orders"), 3);
  EXPECT_EQ(Sum(metrics, "baton_queue_parked_total", "orders"), 1);
  EXPECT_EQ(Sum(metrics, "baton_queue_arrived_total", "dead"), 1);
}

}  // namespace
}  // namespace baton

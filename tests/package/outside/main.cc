// The code of docs/client.md, compiled against the installed package, and run without a broker: it must say
// so.
#include <baton/client.h>

#include <chrono>
#include <iostream>
#include <string>

using namespace std::chrono_literals;

absl::Status PublishAndConsume(const std::string& url) {
  auto client = baton::Client::Connect({.url = url, .connect_timeout = 0ms});
  if (!client.ok()) return client.status();

  auto producer = client->NewProducer();
  if (!producer.ok()) return producer.status();
  auto answer = producer->Publish("orders", {.body = "hello", .priority = 7}).get();
  if (!answer.ok()) return answer.status();

  auto consumer = client->Subscribe({.queue = "orders"}, [](baton::Delivery& delivery) {
    std::cout << delivery.body() << "\n";
    return baton::Outcome::Ack();
  });
  if (!consumer.ok()) return consumer.status();
  return consumer->Stop(10s);
}

int main(int argc, char** argv) {
  const absl::Status status = PublishAndConsume(argc > 1 ? argv[1] : "");
  if (status.ok()) return 0;
  std::cerr << baton::ReasonOf(status) << ": " << std::string(status.message()) << "\n";
  return 1;
}

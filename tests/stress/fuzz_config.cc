// Random input for what reads what operators and programs write (fuzz_driver.h has the command line).
// Targets:
//   texts      durations, sizes, addresses, queue names
//   file       the configuration file
//   flags      batond's command line
//   queue      a queue's properties, as the wire has them
//   headers    a message's headers
#include <google/protobuf/stubs/logging.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/byte_size.h"
#include "base/check.h"
#include "base/duration.h"
#include "base/queue_name.h"
#include "server/config/command_line.h"
#include "server/config/config.h"
#include "server/config/tcp_address.h"
#include "server/engine/queue_record.h"
#include "server/session/queue_wire.h"
#include "server/session/session_frames.h"
#include "tests/stress/fuzz_driver.h"

namespace baton {
namespace {

void FuzzTexts(FuzzInput& input) {
  const std::string text = input.TakeRest();
  if (const auto duration = ParseDuration(text); duration.ok()) {
    const auto again = ParseDuration(FormatDuration(*duration));
    BATON_CHECK(again.ok() && *again == *duration) << text;
  }
  if (const auto size = ParseByteSize(text); size.ok()) {
    const auto again = ParseByteSize(FormatByteSize(*size));
    BATON_CHECK(again.ok() && *again == *size) << text;
    BATON_CHECK(!FormatByteSizeRounded(*size).empty());
  }
  if (const auto address = ParseTcpAddress(text); address.ok()) {
    const auto again = ParseTcpAddress(address->ToText());
    BATON_CHECK(again.ok() && again->host == address->host && again->port == address->port) << text;
    BATON_CHECK_EQ(again->IsLoopback(), address->IsLoopback());
  }
  (void)CheckQueueName(text);
}

std::vector<std::string> TextSeeds() {
  return {"1h30m",          "250ms",    "10d4h3m2s1ms", "256MiB",   "1TB",
          "127.0.0.1:7300", "[::1]:80", "localhost:1",  "a.b-c:{d}"};
}

std::string ScratchFile() {
  static const std::string path =
      (std::filesystem::temp_directory_path() / ("fuzz_config." + std::to_string(getpid()))).string();
  return path;
}

void CheckLoaded(const absl::StatusOr<LoadedConfig>& loaded) {
  if (!loaded.ok()) {
    BATON_CHECK(!loaded.status().message().empty());
    return;
  }
  // What is printed can be read, and says the same.
  const std::string printed = PrintConfig(*loaded);
  std::ofstream(ScratchFile(), std::ios::binary | std::ios::trunc) << printed;
  const auto again = LoadConfig({.flags = {}, .environment = {}, .file = ScratchFile()});
  BATON_CHECK(again.ok()) << again.status() << " of " << printed;
  BATON_CHECK(again->config.memory_budget == loaded->config.memory_budget &&
              again->config.data_dir == loaded->config.data_dir &&
              again->config.listen == loaded->config.listen);
}

void FuzzFile(FuzzInput& input) {
  std::ofstream(ScratchFile(), std::ios::binary | std::ios::trunc) << input.TakeRest();
  CheckLoaded(LoadConfig({.flags = {}, .environment = {}, .file = ScratchFile()}));
  std::filesystem::remove(ScratchFile());
}

std::vector<std::string> FileSeeds() {
  return {"data_dir = \"/tmp/x\"\nmemory_budget = \"512MiB\"\n",
          "listen = \"127.0.0.1:7300\"\nsessions_max = 9\n",
          "log_level = \"debug\"  # why\nbody_bytes_max = \"1MiB\"\n",
          "[table]\nkey = 1\n",
          "tls_cert = \"a\"\ntls_key = '''b'''\n",
          "memory_budget = 0x10\ndisk_free_min = 1e3\n"};
}

// Arguments end with a zero.
void FuzzFlags(FuzzInput& input) {
  const std::string text = input.TakeRest();
  std::vector<std::string> arguments = {"batond"};
  for (size_t at = 0; at < text.size() && arguments.size() < 50;) {
    const size_t end = std::min(text.find('\0', at), text.size());
    arguments.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  const auto parsed = ParseCommandLine(static_cast<int>(argv.size()), argv.data());
  BATON_CHECK(parsed.ok() || !parsed.status().message().empty());
}

std::vector<std::string> FlagSeeds() {
  using namespace std::string_literals;
  return {"--data-dir\0/tmp/x\0--memory-budget\0512MiB"s,
          "--listen=127.0.0.1:0\0--http=127.0.0.1:0"s,
          "--print-config\0--log-level\0info"s,
          "--check-config\0--wal-bytes-max=8MiB"s,
          "--version"s,
          "--memory-bugdet=1GiB"s};
}

void FuzzQueue(FuzzInput& input) {
  v1::QueueConfig wire;
  if (!wire.ParseFromString(input.TakeRest())) return;
  const auto patch = ReadQueueConfig(wire);
  if (!patch.ok()) return;
  const QueueConfig config = patch->ApplyTo(QueueConfig());
  if (!CheckQueueConfig(config).ok()) return;
  const bool in_memory = config.durability == Durability::kMemory;
  const QueueRecord record{.number = QueueId(in_memory ? kMemoryQueueBit | 1 : 1),
                           .created = InstantFromMicros(1),
                           .paused = false,
                           .config = config};
  const auto again = DecodeQueue(EncodeQueue(record));
  BATON_CHECK(again.has_value() && *again == record);
}

std::vector<std::string> QueueSeeds() {
  v1::QueueConfig config;
  config.set_durability(v1::MEMORY);
  config.set_lease_ms(30'000);
  config.set_attempts_max(3);
  config.set_backoff_ms(1'000);
  config.set_backoff_max_ms(2'000);
  config.set_dead_letter_queue("letters");
  config.set_ttl_ms(1'000);
  config.set_messages_max(5);
  config.set_overflow(v1::DROP_OLDEST);
  return {config.SerializeAsString()};
}

void FuzzHeaders(FuzzInput& input) { (void)CheckHeaders(input.TakeRest(), MessageLimits()); }

std::vector<std::string> HeaderSeeds() {
  v1::Headers headers;
  for (const char* name : {"a", "content-type", "baton-mine"}) {
    v1::Header* header = headers.add_headers();
    header->set_name(name);
    header->set_value("value");
  }
  return {headers.SerializeAsString()};
}

}  // namespace

const std::vector<FuzzPart>& FuzzParts() {
  google::protobuf::SetLogHandler(nullptr);  // as batond does
  static const std::vector<FuzzPart> parts = {{"texts", &FuzzTexts, &TextSeeds},
                                              {"file", &FuzzFile, &FileSeeds},
                                              {"flags", &FuzzFlags, &FlagSeeds},
                                              {"queue", &FuzzQueue, &QueueSeeds},
                                              {"headers", &FuzzHeaders, &HeaderSeeds}};
  return parts;
}

}  // namespace baton

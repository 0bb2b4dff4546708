// Random input for the broker's decoders and its engine, without transports (fuzz_driver.h has the command
// line). Targets:
//   calls      unary calls: good requests, changed a little; time passes between them
//   session    frames of a session, with calls between them
//   frame      bytes that may be a frame, before and after a Hello
//   rows       a life, a kill, and another life on rows that were damaged: it starts or refuses, serves or
//   stops with an
//              error
#include <google/protobuf/stubs/logging.h>

#include <utility>
#include <vector>

#include "server/session/frame_shape.h"
#include "tests/stress/fuzz_core.h"
#include "tests/stress/fuzz_driver.h"
#include "tests/stress/fuzz_requests.h"

namespace baton {
namespace {

void Pass(FuzzCore& core, FuzzInput& input) { core.Advance(std::chrono::milliseconds(input.Upto(3'000))); }

void FuzzCalls(FuzzInput& input) {
  FuzzCore core;
  FuzzRequests requests;
  requests.CreateQueues(core);
  while (!input.empty()) {
    requests.MakeOne(input, core);
    if (input.Upto(5) == 0) Pass(core, input);
  }
  Pass(core, input);
}

void LiveOn(FuzzCore& core, FuzzRequests& requests, FuzzInput& input, int steps) {
  for (int i = 0; i < steps && !input.empty() && !core.stopped(); ++i) {
    switch (input.Upto(9)) {
      case 0:
        Pass(core, input);
        break;
      case 1:
        if (input.Upto(3) == 0) core.Disconnect();
        break;
      case 2:
      case 3:
      case 4:
        requests.MakeOne(input, core);
        break;
      default:
        core.Say(requests.Frame(input));
    }
  }
}

void FuzzSession(FuzzInput& input) {
  FuzzCore core;
  FuzzRequests requests;
  requests.CreateQueues(core);
  LiveOn(core, requests, input, 10'000);
}

void FuzzFrame(FuzzInput& input) {
  const bool greeted = input.Upto(1) == 0;
  const std::string bytes = input.TakeRest();
  v1::ClientFrame frame;
  if (!CheckFrameShape(bytes).ok() || !frame.ParseFromString(bytes)) return;
  FuzzCore core;
  FuzzRequests requests;
  requests.CreateQueues(core);
  if (greeted) core.Say({});
  core.Say(std::move(frame));
  core.Disconnect();
}

std::vector<std::string> FrameSeeds() {
  std::vector<std::string> seeds;
  std::string entropy;
  for (int i = 0; i < 20; ++i) {
    for (int j = 0; j < 200; ++j) entropy.push_back(static_cast<char>((i * 31 + j * 7 + j * j) & 0xff));
    FuzzInput input({reinterpret_cast<const uint8_t*>(entropy.data()), entropy.size()});
    seeds.push_back(std::string(2, '\0') + FuzzRequests().Frame(input).SerializeAsString());
    entropy.clear();
  }
  return seeds;
}

// Damages one row: its key, its value, or both.
void DamageOne(FakeStore::Rows& rows, FuzzInput& input) {
  if (rows.empty()) return;
  auto at = rows.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(input.Upto(rows.size() - 1)));
  const auto change = [&input](std::string& bytes) {
    const uint64_t how = input.Upto(5);
    if (how == 0) {
      bytes.resize(input.Upto(bytes.size() + 3), '\xff');
    } else if (!bytes.empty()) {
      for (uint64_t count = how == 1 ? 8 : 1; count > 0; --count)
        bytes[input.Upto(bytes.size() - 1)] = how == 2 ? '\xff' : input.Take<char>();
    }
  };
  std::string key = at->first;
  std::string value = at->second;
  const uint64_t what = input.Upto(7);
  if (what == 0) {
    rows.erase(at);
    return;
  }
  if (what <= 2) {  // the kind stays: what is of another is another row
    std::string rest = key.substr(1);
    change(rest);
    key = key.substr(0, 1) + rest;
    if (what == 1) rows.erase(at);
  }
  if (what >= 2) change(value);
  rows.insert_or_assign(key, value);
}

void FuzzRows(FuzzInput& input) {
  FuzzCore core;
  FuzzRequests requests;
  requests.CreateQueues(core);
  LiveOn(core, requests, input, 40);
  core.RestartDamaged([&input](FakeStore::Rows& rows) {
    for (uint64_t count = 1 + input.Upto(3); count > 0; --count) DamageOne(rows, input);
  });
  LiveOn(core, requests, input, 40);
  Pass(core, input);
}

}  // namespace

const std::vector<FuzzPart>& FuzzParts() {
  google::protobuf::SetLogHandler(nullptr);  // as batond does
  static const std::vector<FuzzPart> parts = {{"calls", &FuzzCalls},
                                              {"session", &FuzzSession},
                                              {"frame", &FuzzFrame, &FrameSeeds},
                                              {"rows", &FuzzRows}};
  return parts;
}

}  // namespace baton

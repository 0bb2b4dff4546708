// A way to a broker's socket on which what the client says goes through at once, and what it hears drips.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <thread>

#include "local/descriptor.h"
#include "tests/support/temporary_directory.h"

namespace baton {

class SlowLink {
 public:
  // For one connection to `socket_path`; it hears `bytes_per_tenth` in a tenth of a second.
  SlowLink(std::string socket_path, size_t bytes_per_tenth);
  ~SlowLink();
  SlowLink(const SlowLink&) = delete;
  SlowLink& operator=(const SlowLink&) = delete;

  const std::string& path() const { return path_; }

 private:
  void Run();
  // False: one side has closed the connection.
  static bool Forward(int from, int to, size_t bytes_max);

  const std::string socket_path_;
  const size_t bytes_per_tenth_;
  TemporaryDirectory directory_;
  const std::string path_;
  Descriptor listener_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace baton

// Tells two histories apart: a number (FNV-1a) made of all that happened, in order.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace baton {

class HistoryDigest {
 public:
  void Add(std::string_view bytes) {
    for (const char byte : bytes) AddOne(static_cast<unsigned char>(byte));
  }
  void Add(std::initializer_list<uint64_t> numbers) {
    for (const uint64_t number : numbers) AddOne(number);
  }
  uint64_t value() const { return value_; }

 private:
  void AddOne(uint64_t number) { value_ = (value_ ^ number) * 0x100000001b3u; }

  uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace baton

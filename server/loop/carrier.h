// Who carries sessions' frames on the engine's own thread, without a hop to another one: looked after by
// EngineThread around its turns. THREADS: the engine's, for everything.
#pragma once

#include <cstdint>

namespace baton {

class Carrier {
 public:
  virtual ~Carrier() = default;

  // A watched descriptor (server/loop/parking.h) has something to say.
  virtual void OnReady(uint64_t tag) = 0;
  // Before a turn: takes in a share of what clients have sent, into the inbox. True: there is more.
  virtual bool Read() = 0;
  // After a turn: writes what sessions were told.
  virtual void Write() = 0;
  // The thread is about to sleep: clients must ring from now on. False: something has come.
  virtual bool Park() = 0;
  // About once a second.
  virtual void OnSecond() = 0;
};

}  // namespace baton

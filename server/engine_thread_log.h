// What the operator's log says of what the engine's thread meets.
#pragma once

#include <string>

#include "server/log.h"
#include "server/loop/broker_time.h"
#include "server/loop/engine_thread.h"

namespace baton {

// `log` and `time` outlive the thread.
EngineThread::Options ThatTellLog(Log* log, const BrokerTime* time, const std::string& data_dir);
// The wall clock was not believed at the start.
void TellLogOfDoubt(Log* log, const BrokerTime& time);

}  // namespace baton

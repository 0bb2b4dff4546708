#include "server/engine_thread_log.h"

namespace baton {
namespace {

std::string Millis(Duration duration) { return std::to_string(duration.count() / 1000); }

}  // namespace

EngineThread::Options ThatTellLog(Log* log, const BrokerTime* time, const std::string& data_dir) {
  EngineThread::Options options;
  options.on_wall_clock_jump = [log, time](Duration moved) {
    log->Warning("wall clock was set; broker time goes on as before, and follows when that has lasted",
                 {{"moved_ms", Millis(moved)}, {"wall_clock_ahead_ms", Millis(time->gap())}});
  };
  options.on_clock_step = [log](Duration by) {
    log->Warning(
        "broker time follows the wall clock: what is stored is due by it, what was given since the start "
        "keeps its length",
        {{"moved_ms", Millis(by)}});
  };
  options.on_damage = [log](const std::string& what) {
    log->Error("something in the store cannot be read; everything else goes on", {{"error", what}});
  };
  options.on_warning = [log](const std::string& what) { log->Warning(what, {}); };
  options.on_disk_state = [log, data_dir](DiskState state) {
    if (state == DiskState::kLow) {
      log->Warning("disk is nearly full: publishers are refused, consumers go on", {{"data_dir", data_dir}});
    } else {
      log->Info("disk has room again: publishers are served", {{"data_dir", data_dir}});
    }
  };
  return options;
}

void TellLogOfDoubt(Log* log, const BrokerTime& time) {
  log->Warning(
      "the wall clock is not where it was expected: broker time goes on from where it ended, and follows "
      "when the clock is synchronised or was not set for two minutes",
      {{"wall_clock_ahead_ms", Millis(time.gap())}});
}

}  // namespace baton

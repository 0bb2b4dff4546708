// A thread that is woken for a moment's work, and should not wait for one that has just begun.
#pragma once

namespace baton::client {

// Linux 6.12 and later: the calling thread is given the processor in shorter turns, and therefore sooner
// after it was woken; its share stays what it was. Threads it starts are not affected. Elsewhere, or where it
// is forbidden, nothing changes. https://docs.kernel.org/scheduler/sched-eevdf.html
void AskForShortSlices();

}  // namespace baton::client

// Calls whose answers need the thread to be stopped for a moment.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>

#include "daedalus/base/result.h"
#include "filter.h"

namespace daedalus::transport::notify {

/// Stops the thread `tid`, whose mmap waits for its answer, for that one call.
///
/// `install` puts the memory's descriptor into the program and returns its number there; `answer` answers the call with the
/// errno that makes the kernel start it again, and says whether it could. Started again it finds that descriptor and offset 0
/// in its registers; afterwards the descriptor is closed and the registers are what they were. `ended(pid, status)` is told of
/// a thread that died meanwhile, as waitpid() would have told its parent.
///
/// An error is one before the answer, which then is the caller's to give: EPERM if somebody else traces the thread, or nobody
/// may.
[[nodiscard]] Result<> mapInstead(pid_t tid, const Trapped& call, const std::function<Result<int>()>& install,
                                  const std::function<bool(int error)>& answer,
                                  const std::function<void(pid_t pid, int status)>& ended);

/// Answers a call of the thread `tid` as one that a signal ended: the kernel delivers the signal, and ends the call with EINTR
/// or starts it again, as SA_RESTART says. If there is none, since another thread has taken it, the call is started again too.
/// `answer`, `ended` and errors as for mapInstead().
[[nodiscard]] Result<> endBySignal(pid_t tid, const std::function<bool(int error)>& answer,
                                   const std::function<void(pid_t pid, int status)>& ended);

}  // namespace daedalus::transport::notify

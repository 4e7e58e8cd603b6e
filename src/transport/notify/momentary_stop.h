// mmap of a buffer, in the place of a thread's own call.
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

}  // namespace daedalus::transport::notify

// What becomes of an allocation that fails.
#pragma once

namespace daedalus {

/// From now on `operator new` tries again, for some milliseconds, before it throws std::bad_alloc: what fails once and not
/// again, as under a limit that others are just about to leave, ends nothing. Once a process; any thread.
void retryAllocations();

}  // namespace daedalus

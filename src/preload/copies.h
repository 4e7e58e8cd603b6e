// What copies of descriptors and their ends mean for what is known of them.
#pragma once

namespace daedalus::preload {

/// [first, last] are about to be closed by close_range() with these flags.
void noteClosing(unsigned first, unsigned last, int flags);
/// syscall() went on with these arguments and had this result.
void noteSyscall(long number, const long* arguments, long result);

}  // namespace daedalus::preload

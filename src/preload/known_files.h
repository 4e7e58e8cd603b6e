// Which descriptors of the process are files of ours, known from what it opened, inherited, received and copied. Looking costs
// a load: a process that never had such a file makes no system call that its program did not make.
#pragma once

#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdint>

namespace daedalus::preload {

/// `fd` is a file of ours.
void noteFile(int fd);
/// `header` was received into: the descriptors that came with it may be files of ours. They are looked at when they are used.
void noteReceived(const msghdr& header);
/// The process has a descriptor of something that stands for the node (O_PATH): from now on descriptors are looked at.
void noteStandIn();
/// As noteReceived(), for one descriptor.
void noteReceived(int fd);
/// `to` has become what `from` is.
void noteCopy(int from, int to);
/// [first, last] were closed.
void noteClosed(unsigned first, unsigned last);

/// False as long as the process has never had a file that may be ours; without a system call.
bool haveFiles();
/// False if `fd` is none of ours; without a system call.
bool mayBeFile(int fd);
/// True if `fd` is a client's end of a session. Keeps errno.
bool isOurFile(int fd, uint64_t& session);
/// As isOurFile(), also for a descriptor that came to be unseen (by a system call of the program's own); for calls that only
/// concern video nodes. Without a system call in a process that never had a file of ours.
bool isOurFileForSure(int fd, uint64_t& session);
/// As isOurFile(), for one whose fstat() is known.
bool isOurFile(int fd, const struct stat& status, uint64_t& session);

}  // namespace daedalus::preload

// What is kept about sessions goes when they are closed.
#pragma once

namespace daedalus::preload {

/// True if anything is kept about any session: only then has close() something to look at.
bool haveSessions();
/// Forgets the sessions that the daemon says are closed. Keeps errno.
void forgetClosedSessions();

}  // namespace daedalus::preload

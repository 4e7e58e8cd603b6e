// How connections to the daemon are come by, also where the process cannot connect() any more: a new one is handed over through
// the process's door, which needs no path, no environment and no right but to have it. Where not even a descriptor can be had,
// threads share one.
#pragma once

#include <atomic>
#include <cstdint>

#include "src/preload/hidden_fd.h"

namespace daedalus::preload {

/// One connection: one request at a time.
struct Connection {
    HiddenFd fd;
    uint32_t generation = 0;  ///< forkGeneration() of the process that made it
    uint32_t sequence = 0;
    bool busy = false;
};

/// A new connection: 0, or an errno that says why there is none. Changes nothing that other threads see.
int connectDaemon(Connection& connection);

/// True if the process lacks a door.
bool needsDoor();
/// Takes a door over that was asked for.
void keepDoor(int fd);

/// The connection that threads and forked children share when they can have none of their own. Locked for the scope of a call;
/// get() is null if there is none.
class SharedConnection {
public:
    SharedConnection();
    ~SharedConnection();
    SharedConnection(const SharedConnection&) = delete;
    SharedConnection& operator=(const SharedConnection&) = delete;
    [[nodiscard]] Connection* get() { return held_ != nullptr ? &connection_ : nullptr; }

private:
    void release();

    Connection connection_;
    std::atomic<uint32_t>* held_ = nullptr;
    uint32_t* sequence_ = nullptr;
};

/// Makes the shared connection, if there is none, as long as that is possible.
void prepareSharedConnection();

}  // namespace daedalus::preload

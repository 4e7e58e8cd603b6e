// The folder of one `run`: its socket, and what its program must not share with others.
#pragma once

#include <string>

#include "daedalus/base/result.h"
#include "daedalus/base/unique_fd.h"

namespace daedalus::daemon {

/// A new folder of mode 0711, in the first that can be written of $XDG_RUNTIME_DIR, $TMPDIR, /tmp and /dev/shm. Not removed by
/// a destructor: of two processes that have this object after a fork(), the last one to end removes it. Folders that
/// were left behind there, by a `run` that was killed, are removed by the next.
class PrivateFolder {
public:
    [[nodiscard]] static Result<PrivateFolder> create();

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string socket() const { return path_ + "/socket"; }
    /// GStreamer's list of elements: the user's own one knows nothing of our node, or would keep it.
    [[nodiscard]] std::string gstRegistry() const { return path_ + "/gstreamer-registry.bin"; }
    /// A name for `library` that LD_PRELOAD can hold (it takes blanks and colons for separators), and that leads each process
    /// to what its dynamic linker can load: 32-bit programs to an empty library, those of musl, which does not know $LIB, to
    /// none.
    [[nodiscard]] Result<std::string> preloadable(const std::string& library) const;
    /// Removes it with all that is in it; once is enough.
    void remove() const;

private:
    PrivateFolder(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
    std::string path_;
    UniqueFd lock_;  ///< as long as it is open somewhere, the folder is used
};

}  // namespace daedalus::daemon

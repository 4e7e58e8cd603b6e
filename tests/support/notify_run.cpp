// Runs a program whose calls on the node are served by notification alone: notify_run SOCKET NODE PROGRAM [ARGS...]. A daemon
// at SOCKET is needed when the program opens NODE, not before, so the program may be the daemon itself. Exit status 77, which
// Meson takes for a skipped test, where this host does not let it.
#include <cstdio>

#include "src/daemon/supervised.h"

int main(int argc, char** argv) {
    using namespace daedalus;
    if (argc < 4) return 2;
    if (const auto obstacle = transport::findNotifyObstacle()) {
        std::fprintf(stderr, "skipped: %s\n", daemon::describe(*obstacle).c_str());
        return 77;
    }
    daemon::Supervised program({argv + 3, argv + argc}, {},
                               {.socket = argv[1], .nodePath = argv[2], .calls = nullptr, .ended = nullptr});
    if (const auto started = program.start(); !started) {
        std::fprintf(stderr, "%s: errno %d\n", argv[3], started.error().value);
        return 1;
    }
    return daemon::Program::passOn(program.wait([](pid_t, int) {}));
}

#include "toy_node.h"

#define FUSE_USE_VERSION 31
#include <cuse_lowlevel.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "proto/daedalus_shim.h"

namespace daedalus::test {
namespace {

/// The server's state; only that process has it.
struct Server {
    int control;
    Hello hello;
    std::vector<std::pair<fuse_req_t, ToyArgument>> held;
};

Server& serverOf(fuse_req_t req) { return *static_cast<Server*>(fuse_req_userdata(req)); }

void answerHello(fuse_req_t req, uint64_t nonce) {
    const Server& server = serverOf(req);
    daedalus_shim_confirm confirm{nonce, fuse_req_ctx(req)->pid, 0};
    if (server.hello == Hello::WrongNonce) confirm.nonce ^= 2;
    if (server.hello == Hello::WrongThread) confirm.tid++;
    if (server.hello != Hello::Ignore) ::ioctl(server.control, DAEDALUS_SHIM_CONFIRM, &confirm);
    fuse_reply_ioctl(req, 0, nullptr, 0);
}

int release(Server& server, int result) {
    const int count = static_cast<int>(server.held.size());
    for (const auto& [req, argument] : server.held) {
        if (result < 0) {
            fuse_reply_err(req, -result);
        } else {
            fuse_reply_ioctl(req, result, &argument, sizeof argument);
        }
    }
    server.held.clear();
    return count;
}

void onOpen(fuse_req_t req, fuse_file_info* file) { fuse_reply_open(req, file); }

void onIoctl(fuse_req_t req, int signedCommand, void* pointer, fuse_file_info*, unsigned, const void* input, size_t inputSize,
             size_t) {
    Server& server = serverOf(req);
    const auto command = static_cast<unsigned>(signedCommand);
    ToyArgument argument{};
    if (command == DAEDALUS_SHIM_HELLO) return answerHello(req, reinterpret_cast<uint64_t>(pointer));
    if (inputSize == sizeof argument) std::memcpy(&argument, input, sizeof argument);
    switch (command) {
        case kToyNothing:
            fuse_reply_ioctl(req, 0, &argument, sizeof argument);
            return;
        case kToyHold:
            server.held.emplace_back(req, argument);
            return;
        case kToyRelease:
            argument.value = release(server, argument.value);
            fuse_reply_ioctl(req, 0, &argument, sizeof argument);
            return;
        case kToyFail:
            fuse_reply_err(req, EDOM);
            return;
        default:
            fuse_reply_err(req, ENOTTY);
    }
}

[[noreturn]] void serve(int control, Hello hello, const std::string& name) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    Server server{control, hello, {}};
    std::string deviceName = "DEVNAME=" + name;
    const char* info[] = {deviceName.c_str()};
    cuse_info cuse{};
    cuse.dev_info_argc = 1;
    cuse.dev_info_argv = info;
    cuse_lowlevel_ops operations{};
    operations.open = onOpen;
    operations.ioctl = onIoctl;
    char program[] = "toy";
    char foreground[] = "-f";
    char* arguments[] = {program, foreground, nullptr};
    int multithreaded = 0;
    fuse_session* session = cuse_lowlevel_setup(2, arguments, &cuse, &operations, &multithreaded, &server);
    ::_exit(session == nullptr ? 1 : fuse_session_loop(session));
}

}  // namespace

ToyNode::ToyNode(int control, Hello hello, const std::string& name) : path_("/dev/" + name), server_(::fork()) {
    if (server_ == 0) serve(control, hello, name);
    for (int tries = 0; tries < 500; ++tries) {
        if (::access(path_.c_str(), F_OK) == 0) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    std::fprintf(stderr, "no %s after 5 s: is cuse loaded?\n", path_.c_str());
    std::abort();
}

ToyNode::~ToyNode() { kill(); }

UniqueFd ToyNode::open(int flags) const { return UniqueFd(::open(path_.c_str(), flags | O_CLOEXEC)); }

int ToyNode::attach(int control) const {
    const UniqueFd node = open();
    const daedalus_shim_attach attach{node.get(), 0};
    return ::ioctl(control, DAEDALUS_SHIM_ATTACH, &attach) == 0 ? 0 : errno;
}

void ToyNode::kill() {
    if (server_ < 0) return;
    ::kill(server_, SIGKILL);
    ::waitpid(server_, nullptr, 0);
    server_ = -1;
}

}  // namespace daedalus::test

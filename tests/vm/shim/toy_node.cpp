#include "toy_node.h"

#define FUSE_USE_VERSION 31
#include <cuse_lowlevel.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "proto/daedalus_shim.h"

namespace daedalus::test {
namespace {

struct Held {
    fuse_req_t request;
    uint64_t file;
    ToyArgument argument;
};

/// The server's state; only that process has it.
struct Server {
    Hello hello;
    std::vector<uint64_t> names;  ///< of the open files, in the order in which they were opened
    std::vector<Held> held;
};

Server& serverOf(fuse_req_t req) { return *static_cast<Server*>(fuse_req_userdata(req)); }

void answerHello(fuse_req_t req, uint64_t nonce) {
    const int yes = DAEDALUS_SHIM_YES(nonce);
    switch (serverOf(req).hello) {
        case Hello::Yes:
            fuse_reply_ioctl(req, yes, nullptr, 0);
            return;
        case Hello::Zero:
            fuse_reply_ioctl(req, 0, nullptr, 0);
            return;
        case Hello::Wrong:
            fuse_reply_ioctl(req, yes ^ 1, nullptr, 0);
            return;
        case Hello::Error:
            fuse_reply_err(req, EDOM);
    }
}

int release(Server& server, int result) {
    const int count = static_cast<int>(server.held.size());
    for (const auto& [req, file, argument] : server.held) {
        if (result < 0) {
            fuse_reply_err(req, -result);
        } else {
            fuse_reply_ioctl(req, result, &argument, sizeof argument);
        }
    }
    server.held.clear();
    return count;
}

void onOpen(fuse_req_t req, fuse_file_info* file) {
    Server& server = serverOf(req);
    file->fh = server.names.size();
    server.names.push_back(0);
    fuse_reply_open(req, file);
}

template <typename Value>
void answer(fuse_req_t req, const Value& value) {
    fuse_reply_ioctl(req, 0, &value, sizeof value);
}

void onIoctl(fuse_req_t req, int signedCommand, void* pointer, fuse_file_info* file, unsigned, const void* input,
             size_t inputSize, size_t) {
    Server& server = serverOf(req);
    ToyArgument argument{};
    if (inputSize == sizeof argument) std::memcpy(&argument, input, sizeof argument);
    switch (static_cast<unsigned>(signedCommand)) {
        case DAEDALUS_SHIM_HELLO:
            return answerHello(req, reinterpret_cast<uint64_t>(pointer));
        case DAEDALUS_SHIM_NAME:
            if (uint64_t& name = server.names.at(file->fh); name == 0) name = reinterpret_cast<uint64_t>(pointer);
            fuse_reply_ioctl(req, 0, nullptr, 0);
            return;
        case kToyName:
            return answer(req, server.names.at(file->fh));
        case kToyHeld: {
            const auto isOurs = [&](const Held& held) { return held.file == file->fh; };
            return answer(req, static_cast<int32_t>(std::count_if(server.held.begin(), server.held.end(), isOurs)));
        }
        case kToyNothing:
            return answer(req, argument);
        case kToyHold:
            server.held.push_back({req, file->fh, argument});
            return;
        case kToyRelease:
            argument.value = release(server, argument.value);
            return answer(req, argument);
        case kToyFail:
            fuse_reply_err(req, EDOM);
            return;
        default:
            fuse_reply_err(req, ENOTTY);
    }
}

[[noreturn]] void serve(Hello hello, const std::string& name) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    Server server{hello, {}, {}};
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

ToyNode::ToyNode(Hello hello, const std::string& name) : path_("/dev/" + name), server_(::fork()) {
    if (server_ == 0) serve(hello, name);
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
    const daedalus_shim_attach attach{node.get(), kToyHold};
    return ::ioctl(control, DAEDALUS_SHIM_ATTACH, &attach) == 0 ? 0 : errno;
}

void ToyNode::kill() {
    if (server_ < 0) return;
    ::kill(server_, SIGKILL);
    ::waitpid(server_, nullptr, 0);
    server_ = -1;
}

}  // namespace daedalus::test

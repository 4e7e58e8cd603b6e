// What tests of signals share: a handler, and decoding with the toy codec that goes on where a signal came in between.
#pragma once

#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <string>

#include "src/codec/fake/fake_decoder.h"
#include "v4l2_client.h"

namespace daedalus::test {

/// A signal handler that does nothing, with or without SA_RESTART.
inline void handle(int flags) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    action.sa_flags = flags;
    REQUIRE(::sigaction(SIGUSR1, &action, nullptr) == 0);
}

/// Repeats a call that a signal interrupted.
template <class Call>
int again(Call call) {
    int error = 0;
    do {
        error = call();
    } while (error == EINTR);
    return error;
}

/// Decodes frames `from` … `to`, one at a time. Empty, or what went wrong.
inline std::string decode(V4l2Client& client, uint32_t from, uint32_t to) {
    for (uint32_t number = from; number < to; ++number) {
        const auto text = "frame " + std::to_string(number) + "\n";
        if (const int error = again([&] { return client.feed(0, text, number); }))
            return "QBUF(OUTPUT): " + std::to_string(error);
        Taken taken;
        const auto take = [&](uint32_t type) {
            return again([&] {
                taken = client.take(type);
                return taken.error;
            });
        };
        if (const int error = take(kOutput)) return "DQBUF(OUTPUT): " + std::to_string(error);
        if (const int error = take(kCapture)) return "DQBUF(CAPTURE): " + std::to_string(error);
        if (taken.buffer.timestamp.tv_usec != static_cast<long>(number)) return "a frame is missing or came twice";
        if (client.pixels(taken.buffer.index)[0] != codec::fake::fakeSample(number, 0, 0, 0, 8)) return "wrong pixels";
        if (const int error = again([&] { return client.queue(taken.buffer.index); }))
            return "QBUF(CAPTURE): " + std::to_string(error);
    }
    return {};
}

}  // namespace daedalus::test

// A queue between two threads.
#pragma once

#include <deque>
#include <optional>
#include <utility>

#include "daedalus/base/thread_annotations.h"

namespace daedalus {

/// Messages of type T in order of arrival, from any thread to any thread. Never blocks for longer than a move.
template <class T>
class Mailbox {
public:
    void push(T message) {
        MutexLock lock(mutex_);
        messages_.push_back(std::move(message));
    }
    /// The oldest message, or nothing.
    [[nodiscard]] std::optional<T> pop() {
        MutexLock lock(mutex_);
        if (messages_.empty()) return std::nullopt;
        std::optional<T> message(std::move(messages_.front()));
        messages_.pop_front();
        return message;
    }
    /// All messages at once.
    [[nodiscard]] std::deque<T> takeAll() {
        MutexLock lock(mutex_);
        return std::exchange(messages_, {});
    }

private:
    Mutex mutex_;
    std::deque<T> messages_ DAEDALUS_GUARDED_BY(mutex_);
};

}  // namespace daedalus

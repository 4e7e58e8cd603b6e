// One session of the node as a client sees it: the stateful decoder's sequences, from open() to the buffer with LAST.
#pragma once

#include <linux/videodev2.h>

#include <array>
#include <string>
#include <vector>

#include "clip.h"
#include "measured.h"

namespace daedalus::bench {

/// Plays a clip through the node. One thread. Functions that return bool say on stderr what went wrong.
class V4l2Session {
public:
    V4l2Session(const Clip& clip, unsigned frames) : clip_(clip), frames_(frames), dueAt_(frames) {}
    ~V4l2Session();
    V4l2Session(const V4l2Session&) = delete;
    V4l2Session& operator=(const V4l2Session&) = delete;

    [[nodiscard]] bool open(const std::string& node);
    /// Sets OUTPUT up and, unless `paced`, fills it.
    [[nodiscard]] bool start(bool paced);
    [[nodiscard]] int fd() const { return fd_; }
    /// What poll() shall wait for.
    [[nodiscard]] short events() const;
    /// Does what poll() says is ready.
    [[nodiscard]] bool serve(short ready);
    /// What became of a unit that was due.
    enum class Fed : uint8_t { Queued, NoBuffer, Failed };
    /// Queues the next access unit of a paced run, whose latency counts from `due`. NoBuffer: all OUTPUT buffers are under way,
    /// and poll() waits for one; call it again.
    [[nodiscard]] Fed feedDue(Clock::time_point due);
    /// All access units were queued.
    [[nodiscard]] bool fedAll() const { return fed_ == frames_; }
    /// LAST came, and all frames before it.
    [[nodiscard]] bool ended() const { return ended_; }
    [[nodiscard]] const Tally& tally() const { return tally_; }

private:
    struct Buffer {
        void* address = nullptr;
        size_t length = 0;
    };

    bool call(unsigned long cmd, void* argument, const char* name);
    bool request(uint32_t type, uint32_t count, std::vector<Buffer>& buffers);
    bool feed(uint32_t index, Clock::time_point due);
    bool drainIfFed();
    bool setUpCapture();
    bool queueCapture(uint32_t index);
    /// DQBUF into buffer_.
    bool dequeue(uint32_t type, bool& any);
    bool takeOutput();
    bool takeCapture();
    bool takeEvent();

    const Clip& clip_;
    const unsigned frames_;
    std::vector<Clock::time_point> dueAt_;
    int fd_ = -1;
    std::vector<Buffer> output_;
    std::vector<Buffer> capture_;
    uint32_t untouched_ = 0;  ///< OUTPUT buffers from here on were never queued
    v4l2_buffer buffer_{};
    std::array<v4l2_plane, VIDEO_MAX_PLANES> planes_{};
    Clock::time_point openedAt_;
    unsigned fed_ = 0;
    unsigned received_ = 0;
    bool paced_ = false;
    bool overdue_ = false;  ///< a unit of a paced run waits for an OUTPUT buffer
    bool ended_ = false;
    Tally tally_;
};

}  // namespace daedalus::bench

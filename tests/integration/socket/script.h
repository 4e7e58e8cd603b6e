// The controls by which clients say what a session of scripted_daemon.cpp does.
#pragma once

#include <cstdint>

namespace daedalus::test {

inline constexpr uint32_t kMask = 1;         ///< S_CTRL: readiness, a poll mask
inline constexpr uint32_t kMaskLater = 2;    ///< S_CTRL: milliseconds << 16 | mask
inline constexpr uint32_t kFrames = 3;       ///< S_CTRL: more CAPTURE buffers to dequeue
inline constexpr uint32_t kFramesLater = 4;  ///< S_CTRL: milliseconds << 16 | count
inline constexpr uint32_t kSlots = 5;        ///< S_CTRL: more OUTPUT buffers to dequeue
inline constexpr uint32_t kEvents = 6;       ///< S_CTRL: more events to dequeue
inline constexpr uint32_t kSessions = 7;     ///< G_CTRL: open files
inline constexpr uint32_t kInterrupts = 8;   ///< G_CTRL: calls that were interrupted so far
inline constexpr uint32_t kPlug = 9;         ///< S_CTRL: adds the node of this number
inline constexpr uint32_t kUnplug = 10;      ///< S_CTRL: takes it away; not the file's own

inline constexpr uint64_t kMapOffset = 0x80003000;
inline constexpr int kFramesPerEvent = 100;
/// v4l2_ext_controls.which that makes G_EXT_CTRLS fail with ERANGE, and still copy back.
inline constexpr uint32_t kEchoFails = 0x77;

}  // namespace daedalus::test

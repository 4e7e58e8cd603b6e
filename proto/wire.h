// The protocol between the socket transport (src/transport/socket) and the preload library (src/preload): plain structs over a
// SOCK_SEQPACKET connection, one request and one reply at a time. Both ends run on one machine, so bytes are in host order.
//
// What a client holds as its "file" is one end of a stream socketpair that the daemon made. Its abstract name carries the
// session, so any process that has it (dup, fork, exec, SCM_RIGHTS) can find out what it is. Its readiness is driven so:
//   IN   an unread byte lies in it. The daemon writes it; the reply that makes IN false tells the client to eat it.
//   OUT  its send buffer has room. A reply tells the client to fill it (kFillerBytes); the daemon drains it.
//   PRI  shown by a second socket (Kind::Priority) that holds an out-of-band byte; the daemon keeps both of its ends.
//   ERR  IN and OUT at once; Kind::Readiness tells it from a real IN and OUT.
#pragma once

#include <cstddef>
#include <cstdint>

#include "proto/follow.h"

namespace daedalus::proto {

/// Both ends must have the same.
inline constexpr uint32_t kProtocolVersion = 3;

/// Environment variable with the path of the daemon's socket.
inline constexpr char kSocketVariable[] = "DAEDALUS_SOCKET";
/// Environment variable with the path of a character device: the library then only tells udev's callers that it is a V4L2 node.
/// Without effect where kSocketVariable has a value.
inline constexpr char kDeviceVariable[] = "DAEDALUS_DEVICE";
/// File name of the preload library, and the variable of the dynamic linker that must name it.
inline constexpr char kPreloadLibrary[] = "libdaedalus-preload.so";
inline constexpr char kPreloadVariable[] = "LD_PRELOAD";

/// The abstract name of a client's file: a NUL, then this, then the daemon's and the session's id as 16 hex digits each with
/// a ':' between them.
inline constexpr char kFileNamePrefix[] = "daedalus:";
inline constexpr size_t kFileNamePrefixLength = sizeof kFileNamePrefix - 1;
inline constexpr size_t kFileNameLength = 1 + kFileNamePrefixLength + 16 + 1 + 16;

/// The permissions of that socket, which fstat() shows: sandboxes that refuse to tell a socket's name allow that.
inline constexpr uint32_t kFileMode = 01640;

/// Environment variable with a door to the daemon that the process inherits: its descriptor and its inode as decimal numbers,
/// and the path in kSocketVariable, with a ':' between them. Without effect where that path is another.
inline constexpr char kDoorVariable[] = "DAEDALUS_DOOR";

/// Descriptors that a program did not open itself are at least this, where its limit allows it: out of the way of programs
/// that count on low numbers, or close them in a row.
inline constexpr int kLowestHiddenFd = 200;

/// The byte that makes IN true. kErrorByte says that ERR made it so: what looks like IN must be asked after.
inline constexpr char kReadyByte = 'I';
inline constexpr char kErrorByte = 'E';

/// Bytes of one filler: more than the smallest send buffer of the kernel leaves writable.
inline constexpr size_t kFillerBytes = 1024;

/// A request or reply whose body is longer travels in a memfd instead of the message (kRequestLarge).
inline constexpr uint32_t kMaxInlineBytes = 4096;
/// Descriptors that one request may carry: the planes of a buffer.
inline constexpr uint32_t kMaxRequestFds = 8;
/// Descriptors that one reply may carry.
inline constexpr uint32_t kMaxReplyFds = 4;

enum class Kind : uint32_t {
    /// value: kProtocolVersion. Reply body: HelloBody, NodeEntry[nodeCount], FollowEntry[followCount]
    Hello = 1,
    /// value: the minor number of a node | its FileKind << 8. Reply: value = session, one fd = the client's file
    Open = 2,
    /// Body: argument, NestedHeader[nestedCount], their bytes, PlaneMemory[planeCount]. Where the argument names a descriptor
    /// that is a file of ours (proto/follow.h): value = its session, length = its number. Reply body: argument, bytes
    Ioctl = 3,
    Cancel = 4,     ///< Ends the Ioctl under way with EINTR; has no reply of its own, and no effect if the answer is on its way
    Map = 5,        ///< value: mem_offset, length: bytes to map. Reply: one fd
    Readiness = 6,  ///< Reply: value = poll mask
    Priority = 7,   ///< Reply: one fd, POLLPRI on it is the file's POLLPRI
    Alive = 8,      ///< Body: uint64_t sessions[]. Reply body: one byte each, 1 = still open
    Released = 9,   ///< Reply body: uint32_t serials of bounces that the session no longer uses
    Door = 10,   ///< Reply: one fd. Each message on it that carries one end of a SOCK_SEQPACKET pair makes a connection of the
                 ///< other, for whoever sent it: processes and threads may share it
    Claim = 11,  ///< With the client's file as the message's fd: whoever has the file may name its session
};

/// Request flags.
inline constexpr uint32_t kRequestNonblocking = 1;  ///< Ioctl: O_NONBLOCK is set
inline constexpr uint32_t kRequestFaulted = 2;      ///< Ioctl: the argument could not be read; no body
inline constexpr uint32_t kRequestLarge = 4;        ///< Ioctl: the body lies in a memfd, the first fd of the message

struct Request {
    Kind kind;
    uint32_t flags;
    uint64_t session;
    uint64_t value;
    uint64_t length;
    uint32_t sequence;  ///< comes back in the reply
    uint32_t cmd;
    uint32_t argumentBytes;
    uint32_t nestedCount;
    uint32_t planeCount;
    uint32_t bodyBytes;
};
static_assert(sizeof(Request) == 56);

/// Reply flags.
inline constexpr uint32_t kReplyEat = 1;         ///< read one byte from the file
inline constexpr uint32_t kReplyFill = 2;        ///< write one filler to the file
inline constexpr uint32_t kReplyCopyBack = 4;    ///< the body (in the message, or in the request's memfd) goes to the client
inline constexpr uint32_t kReplyNeedMemory = 8;  ///< send the call again with the fds of its USERPTR planes
inline constexpr uint32_t kReplyReleased = 16;   ///< Kind::Released has something
inline constexpr uint32_t kReplyClaim = 32;      ///< another user's session: send the call again after a Claim
inline constexpr uint32_t kReplyHasty = 64;  ///< without kRequestNonblocking the daemon would have waited for a better answer

/// A descriptor of the reply: where its number goes in the argument, and O_CLOEXEC.
struct ReplyFd {
    uint32_t offset;
    int32_t flags;
};

struct Reply {
    uint32_t sequence;
    int32_t error;  ///< errno, 0 = success
    uint32_t flags;
    uint32_t fdCount;
    uint64_t value;
    uint32_t bodyBytes;
    uint32_t reserved;
    ReplyFd fds[kMaxReplyFds];
};
static_assert(sizeof(Reply) == 64);

/// Which nested array of an argument (proto/follow.h) comes along. Those that could not be read are left out.
struct NestedHeader {
    uint32_t parent;
    uint32_t offset;
    uint32_t length;
};
static_assert(sizeof(NestedHeader) == 12);

/// Where a plane's memory comes from, for calls that give a client's own memory to the device.
struct PlaneMemory {
    enum class Source : uint32_t { Bounce = 1, Dmabuf = 2 };
    uint32_t plane;
    Source source;
    uint32_t hasFd;   ///< 1: the next fd of the message is this plane's
    uint32_t serial;  ///< Bounce: names it within the session
};
static_assert(sizeof(PlaneMemory) == 16);

/// An ioctl whose argument leads to more memory.
struct FollowEntry {
    uint32_t cmd;
    uint8_t follow;  ///< proto::Follow
    uint8_t role;    ///< proto::MemoryRole
    uint16_t reserved;
};
static_assert(sizeof(FollowEntry) == 8);

/// Ioctls and nodes that a HelloBody can be followed by.
inline constexpr uint32_t kMaxFollows = 32;
inline constexpr uint32_t kMaxNodes = 32;

struct HelloBody {
    uint32_t version;
    uint32_t followCount;
    uint64_t daemon;
    uint32_t generation;  ///< another one after each change of the nodes
    uint32_t nodeCount;
    uint64_t reserved;
};
static_assert(sizeof(HelloBody) == 32);

/// What a file is an open of. A request is no node's.
enum class FileKind : uint32_t { Video = 0, Media = 1, Request = 2 };

/// A node of the daemon.
struct NodeEntry {
    uint32_t major;  ///< of the device number that stat() shows
    uint32_t minor;
    char nodePath[64];  ///< "/dev/video0"
    char card[32];
    FileKind kind;
    uint32_t media;  ///< of a video node: 1 + the minor number of its media device; 0 if it has none
};
static_assert(sizeof(NodeEntry) == 112);
static_assert(sizeof(HelloBody) + kMaxNodes * sizeof(NodeEntry) + kMaxFollows * sizeof(FollowEntry) <= kMaxInlineBytes);

/// The minor number of the node that a session is of: the lowest byte of the session's id; of a request, that of the media
/// device.
inline constexpr uint32_t nodeOf(uint64_t session) { return session & 0xFF; }
/// What its file is: the next byte.
inline constexpr FileKind fileKindOf(uint64_t session) { return static_cast<FileKind>(session >> 8 & 0xFF); }
/// The part of a session's id, and the value of Kind::Open, that says of what it is.
inline constexpr uint64_t whereOf(FileKind kind, uint32_t minor) { return uint64_t{static_cast<uint32_t>(kind)} << 8 | minor; }

}  // namespace daedalus::proto

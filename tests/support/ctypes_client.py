"""The plain client in Python, which calls libc by a handle: no preloaded library sees that. Usage: ctypes_client.py NODE IVF OUTPUT"""

import ctypes
import os
import struct
import sys

LIBC = ctypes.CDLL("libc.so.6", use_errno=True)
LIBC.mmap.restype = ctypes.c_void_p
LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]

S_FMT, G_FMT, REQBUFS, QUERYBUF, QBUF, DQBUF = 0xC0D05605, 0xC0D05604, 0xC0145608, 0xC0585609, 0xC058560F, 0xC0585611
STREAMON, SUBSCRIBE_EVENT, DQEVENT, DECODER_CMD = 0x40045612, 0x4020565A, 0x80885659, 0xC0485660
CAPTURE, OUTPUT, MMAP, LAST, SOURCE_CHANGE, STOP = 9, 10, 1, 0x100000, 5, 1
POLLIN, POLLPRI, POLLOUT = 1, 2, 4
WAIT_MS = 20000


class Node:
    def __init__(self, path):
        self.fd = self.checked(LIBC.open(path.encode(), os.O_RDWR))

    @staticmethod
    def checked(result):
        if result is None or result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    def call(self, cmd, argument):
        self.checked(LIBC.ioctl(self.fd, ctypes.c_ulong(cmd), argument))

    def poll(self, events):
        entry = ctypes.create_string_buffer(struct.pack("=ihh", self.fd, events, 0), 8)
        if LIBC.poll(entry, 1, WAIT_MS) != 1:
            sys.exit("nothing within 20 s")
        return struct.unpack("=ihh", entry.raw)[2]


class Queue:
    def __init__(self, node, kind):
        self.node, self.kind, self.memory = node, kind, []

    def buffer(self, index, used=0):
        """A v4l2_buffer with one plane, and the plane."""
        plane = ctypes.create_string_buffer(struct.pack("=I", used), 64)
        buffer = ctypes.create_string_buffer(88)
        struct.pack_into("=II", buffer, 0, index, self.kind)
        struct.pack_into("=IQI", buffer, 60, MMAP, ctypes.addressof(plane), 1)
        return buffer, plane

    def allocate(self, count):
        request = ctypes.create_string_buffer(struct.pack("=III", count, self.kind, MMAP), 20)
        self.node.call(REQBUFS, request)
        for index in range(struct.unpack_from("=I", request)[0]):
            buffer, plane = self.buffer(index)
            self.node.call(QUERYBUF, buffer)
            length, offset = struct.unpack_from("=4xII", plane)
            self.memory.append(LIBC.mmap(None, length, 3, 1, self.node.fd, offset))
            if self.memory[-1] == ctypes.c_void_p(-1).value:
                sys.exit("mmap: " + os.strerror(ctypes.get_errno()))

    def put(self, index, payload=b""):
        ctypes.memmove(self.memory[index], payload, len(payload))
        buffer, _plane = self.buffer(index, len(payload))
        self.node.call(QBUF, buffer)

    def take(self):
        """Index, flags, and bytes."""
        buffer, plane = self.buffer(0)
        self.node.call(DQBUF, buffer)
        index, flags = struct.unpack_from("=I8xI", buffer)
        return index, flags, ctypes.string_at(self.memory[index], struct.unpack_from("=I", plane)[0])

    def start(self):
        self.node.call(STREAMON, ctypes.create_string_buffer(struct.pack("=I", self.kind), 4))


def units(path):
    with open(path, "rb") as file:
        data = file.read()
    at = 32
    while at + 12 <= len(data):
        size = struct.unpack_from("<I", data, at)[0]
        yield data[at + 12:at + 12 + size]
        at += 12 + size


def main():
    node = Node(sys.argv[1])
    node.call(SUBSCRIBE_EVENT, ctypes.create_string_buffer(struct.pack("=I", SOURCE_CHANGE), 32))
    coded = ctypes.create_string_buffer(208)
    struct.pack_into("=I4xII4s", coded, 0, OUTPUT, 0, 0, b"VP80")
    node.call(S_FMT, coded)
    output, capture = Queue(node, OUTPUT), Queue(node, CAPTURE)
    waiting = units(sys.argv[2])
    output.allocate(4)
    output.start()
    for index in range(len(output.memory)):
        output.put(index, next(waiting))
    node.poll(POLLPRI)
    node.call(DQEVENT, ctypes.create_string_buffer(136))
    raw = ctypes.create_string_buffer(struct.pack("=I", CAPTURE), 208)
    node.call(G_FMT, raw)
    struct.pack_into("=4s", raw, 16, b"YU12")
    node.call(S_FMT, raw)
    capture.allocate(4)
    for index in range(len(capture.memory)):
        capture.put(index)
    capture.start()
    fed = False
    with open(sys.argv[3], "wb") as frames:
        while True:
            ready = node.poll(POLLIN | (0 if fed else POLLOUT))
            if not fed and ready & POLLOUT:
                index = output.take()[0]
                unit = next(waiting, None)
                fed = unit is None
                if fed:
                    node.call(DECODER_CMD, ctypes.create_string_buffer(struct.pack("=I", STOP), 72))
                else:
                    output.put(index, unit)
            if ready & POLLIN:
                index, flags, picture = capture.take()
                frames.write(picture)
                if flags & LAST:
                    return
                capture.put(index)


main()

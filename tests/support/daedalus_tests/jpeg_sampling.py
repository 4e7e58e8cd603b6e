"""JPEG images with samplings and depths that FFmpeg's encoder does not have: the frame headers of others, rewritten.

The coded blocks stay what they are, and stand for other places of the picture: 4:2:0 has four blocks of luma and one of each
chroma in a unit, and so has 4:1:1; a unit of 4:2:2 as FFmpeg writes it, four and two and two, is one of 4:4:0 too.
"""

import struct

_FRAME, _SCAN = b"\xff\xc0", b"\xff\xda"
_EXTENDED = 0xC1  # the frame marker of more than 8 bits


def changed(images, sampling):
    """Motion JPEG of FFmpeg, with "411" (of 4:2:0; twice as wide, half as high), "440" (of 4:2:2), "rgb" (of 4:4:4), or "12" bits
    where there were 8 (the same differences, so less contrast)."""
    data = bytearray(images)
    at = data.find(_FRAME)
    while at >= 0:
        height, width = struct.unpack_from(">HH", data, at + 5)
        components = [at + 10 + 3 * i for i in range(3)]
        if sampling == "411":
            struct.pack_into(">HH", data, at + 5, height // 2, width * 2)
            data[components[0] + 1] = 0x41
        elif sampling == "440":
            data[components[1] + 1] = data[components[2] + 1] = 0x21
        elif sampling == "12":
            data[at + 1], data[at + 4] = _EXTENDED, 12
        elif sampling == "rgb":
            scan = data.find(_SCAN, at)
            for i, letter in enumerate(b"RGB"):
                data[components[i]] = data[scan + 5 + 2 * i] = letter
        at = data.find(_FRAME, at + 2)
    return bytes(data)

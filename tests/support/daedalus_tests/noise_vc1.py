"""VC-1 streams without an encoder: headers that are right, and pictures of noise, which decoders conceal always in the same way."""

import random
import struct

_SEQUENCE, _ENTRY_POINT, _FRAME = (b"\0\0\1" + bytes([code]) for code in (0x0F, 0x0E, 0x0D))
_KEY_INTERVAL = 4


def _bits(*fields):
    """The bytes of (value, length in bits) pairs, filled up with zeros."""
    text = "".join(format(value, f"0{length}b") for value, length in fields)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


def _noise(generator, length):
    # Neither start codes nor bytes that prevent them.
    return bytes(generator.randrange(5, 255) for _ in range(length))


def annex_g(width, height, frames, seed):
    """Advanced profile, behind start codes."""
    generator = random.Random(seed)
    sizes = ((width // 2 - 1, 12), (height // 2 - 1, 12))
    sequence = _SEQUENCE + _bits((3, 2), (2, 3), (1, 2), (0, 9), *sizes, (0, 4), (1, 1), (0, 3), (1, 1))
    entry_point = _ENTRY_POINT + _bits((0, 1), (1, 1), (0, 14), (1, 1))
    stream = b""
    for number in range(frames):
        key = number % _KEY_INTERVAL == 0
        stream += sequence + entry_point if key else b""
        stream += _FRAME + (_bits((0b110, 3), (2, 5)) if key else _bits((0, 1), (2, 5), (0, 2))) + _noise(generator, 700)
    return stream


def annex_l(width, height, frames, seed):
    """Main profile, in the sequence and frame layers that make an RCV file."""
    generator = random.Random(seed)
    structure = _bits((4, 4), (0, 11), (1, 1), (0, 15), (1, 1))
    stream = struct.pack("<II", 0xC5000000 | frames, 4) + structure + struct.pack("<IIIIII", height, width, 12, 0, 0, 0xFFFFFFFF)
    for number in range(frames):
        key = number % _KEY_INTERVAL == 0
        frame = _bits((0, 2), (not key, 1), (0, 5)) + _noise(generator, 700)
        stream += struct.pack("<II", len(frame) | key << 31, number * 40) + frame
    return stream

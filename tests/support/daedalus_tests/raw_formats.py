"""V4L2's raw formats, written anew from V4L2's documents: what the planes of FFmpeg's frames look like in each."""

import array
import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Format:
    """`pixels`: None for three planes, "chroma" for interleaved chroma behind luma, else what follows what in a pixel: plane
    numbers of Y, Cb, Cr or R, G, B, and "x" for padding."""

    depth: int
    high: bool = False  # the bits stand in the high ones of 16
    pixels: str | None = None


_PLANAR, _SEMI = Format(8), Format(8, pixels="chroma")
FORMATS = {
    "NV12": _SEMI, "NV12M": _SEMI, "YU12": _PLANAR, "YM12": _PLANAR,
    "NV16": _SEMI, "NV16M": _SEMI, "422P": _PLANAR, "YM16": _PLANAR,
    "NV24": _SEMI, "YM24": _PLANAR, "411P": _PLANAR, "GREY": _PLANAR,
    "P010": Format(10, True, "chroma"), "P012": Format(12, True, "chroma"), "P012M": Format(12, True, "chroma"),
    "Y210": Format(10, True, "0102"), "Y212": Format(12, True, "0102"), "Y312": Format(12, True, "012"),
    "Y10": Format(10), "Y12": Format(12), "Y012": Format(12, True),
    "RGB3": Format(8, pixels="012"), "BGR3": Format(8, pixels="210"), "XR24": Format(8, pixels="210x"),
    "B312": Format(12, True, "210"),
}  # fmt: skip

_BY_CHROMA = {
    "420": ({8: "NV12 NV12M YU12 YM12", 10: "P010", 12: "P012 P012M", 16: "P012 P012M"}, (1, 1)),
    "422": ({8: "NV16 NV16M 422P YM16", 10: "Y210", 12: "Y212", 16: "Y212"}, (1, 0)),
    "444": ({8: "NV24 YM24", 10: "Y312", 12: "Y312", 16: "Y312"}, (0, 0)),
    "440": ({8: "NV24 YM24", 10: "Y312", 12: "Y312"}, (0, 1)),
    "411": ({8: "411P"}, (2, 0)),
    "gray": ({8: "GREY", 10: "Y10", 12: "Y12 Y012"}, (0, 0)),
    "gbr": ({8: "RGB3 BGR3 XR24", 10: "B312", 12: "B312"}, (0, 0)),
}


def kind(pixels):
    """("420", 10) of FFmpeg's "yuv420p10le". Of "16" bits the high 12 are meant, as JPEG has them."""
    chroma, depth = re.fullmatch(r"(?:yuvj?)?(\d{3}|gray|gbr)p?(10|12|16)?(?:le)?", pixels).groups()
    return chroma, int(depth or 8)


def exact(pixels):
    """The formats that hold FFmpeg's frames, as the node must list them."""
    chroma, depth = kind(pixels)
    return _BY_CHROMA[chroma][0][depth].split()


def reduced(pixels):
    """The formats that hold the 8 high bits of deeper frames."""
    chroma, depth = kind(pixels)
    return _BY_CHROMA[chroma][0][8].split() if depth > 8 else []


def _sizes(pixels, width, height):
    """(columns, rows, bytes) of each plane."""
    chroma, depth = kind(pixels)
    across, down = _BY_CHROMA[chroma][1]
    sizes = [(width, height)]
    if chroma != "gray":
        sizes += [((width + (1 << across) - 1) >> across, (height + (1 << down) - 1) >> down)] * 2
    return [(columns, rows, columns * rows * (2 if depth > 8 else 1)) for columns, rows in sizes]


def frame_bytes(pixels, width, height):
    """What a frame takes without padding."""
    return sum(length for _, _, length in _sizes(pixels, width, height))


def _planes(raw, pixels, width, height):
    """The planes of one frame in the order Y, Cb, Cr or R, G, B, and how many samples each has in a line."""
    planes, at = [], 0
    for columns, _, length in _sizes(pixels, width, height):
        planes.append((raw[at : at + length], columns))
        at += length
    return [planes[2], planes[0], planes[1]] if kind(pixels)[0] == "gbr" else planes


def _twice(samples, line, height):
    """Each line two times, as 4:4:4 has the chroma of 4:4:0."""
    lines = [samples[start : start + line] for start in range(0, len(samples), line)]
    return b"".join(each + each for each in lines)[: line * height]


def _with_bits(samples, depth, target):
    """Samples of `depth` bits with the bits of `target`."""
    if depth == 8:
        return samples
    # Many shifts in one: no sample's bits reach its neighbour.
    number = int.from_bytes(samples, "little")
    if target.depth == 8:
        number >>= depth - 8
        return number.to_bytes(len(samples), "little")[0::2]
    return (number << (16 - depth if target.high else 0)).to_bytes(len(samples), "little")


def pack(raw, pixels, width, height, fourcc):
    """One of FFmpeg's frames (bytes without padding) as the visible bytes of a CAPTURE buffer. Y210 and Y212: an even width."""
    target = FORMATS[fourcc]
    chroma, depth = kind(pixels)
    word = 2 if depth > 8 else 1
    planes = []
    for number, (samples, columns) in enumerate(_planes(raw, pixels, width, height)):
        if number and chroma == "440":
            samples = _twice(samples, columns * word, height)
        code = "B" if target.depth == 8 else "H"
        planes.append(array.array(code, _with_bits(samples, depth, target)))
    if target.pixels is None:
        return b"".join(plane.tobytes() for plane in planes)
    code = planes[0].typecode
    if target.pixels == "chroma":
        pairs = array.array(code, bytes(2 * len(planes[1]) * planes[1].itemsize))
        pairs[0::2], pairs[1::2] = planes[1], planes[2]
        return planes[0].tobytes() + pairs.tobytes()
    step = len(target.pixels)
    groups = len(planes[0]) // target.pixels.count("0")
    packed = array.array(code, b"\xff" * (groups * step * planes[0].itemsize))
    for number, plane in enumerate(planes):
        places = [place for place, name in enumerate(target.pixels) if name == str(number)]
        for turn, place in enumerate(places):
            packed[place::step] = plane[turn :: len(places)]
    return packed.tobytes()

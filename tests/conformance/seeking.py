#!/usr/bin/env python3
"""GStreamer seeks and switches streams with the node's decoders: each frame must be FFmpeg's frame of that place.

    seeking.py --daedalus PROGRAM --preload LIBRARY --cache FOLDER
"""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import decoder, reference, streams  # noqa: E402

# codec -> (element, container, way from the file to the decoder, the stream to seek in, another one: without
# B pictures, since ffmpeg knows no times of them in an elementary stream)
CASES = {
    "h264": ("v4l2h264dec", "mp4", "qtdemux ! h264parse", "h264_container.mp4", "h264_delimited.h264"),
    "hevc": ("v4l2h265dec", "mkv", "matroskademux ! h265parse", "hevc_container.mkv", "hevc_wpp.hevc"),
    "vp8": ("v4l2vp8dec", "mkv", "matroskademux", "vp8.ivf", "vp8_large.ivf"),
    "vp9": ("v4l2vp9dec", "mkv", "matroskademux ! vp9parse", "vp9.ivf", "vp9_large.ivf"),
}
# What gst_seek.py's steps must bring of 30 frames: the first number, and how many; see there.
WANTED = {"start": (0, 3), "forward": (15, 5), "back": (6, 5), "again": (6, 1), "late": (21, 9), "after the end": (0, 30)}
PYTHON = "/usr/bin/python3"


def contained(under_test, name, container, cache):
    """The stream in a container that can be sought in."""
    source = streams.provide(streams.BY_NAME[name], cache)
    target = under_test.scratch.path / f"{source.stem}.{container}"
    if source.suffix == target.suffix:
        return source.resolve()
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-r", "30", "-i", source, "-c", "copy", target], check=True)
    return target


def examine(lines, first, second):
    """What is wrong, as a list: `first` and `second` are the MD5s of the two streams' frames."""
    wrong, found = [], {}
    for step, number, md5 in (line.split(",") for line in lines):
        found.setdefault(step, []).append((int(number), md5))
    for step, (start, count) in WANTED.items():
        expected = [(number, first[number]) for number in range(start, start + count)]
        if found.get(step) != expected:
            numbers = [number if 0 <= number < 30 and md5 == first[number] else f"{number}!" for number, md5 in found.get(step, [])]
            wrong.append(f"{step}: frames {numbers}, expected {count} from {start}; with ! a wrong picture")
    switched = [md5 for _, md5 in found.get("switch", [])]
    if switched != second:
        wrong.append(f"switch: {reference.difference(second, switched)}")
    return wrong


def main():
    parser = decoder.arguments(__doc__)
    parser.add_argument("--codec", action="append", choices=list(CASES))
    options = parser.parse_args()
    under_test = decoder.Decoder(options.daedalus, options.preload)
    program = pathlib.Path(__file__).resolve().with_name("gst_seek.py")
    failed = 0
    for codec in options.codec or CASES:
        element, container, chain, *names = CASES[codec]
        files = [contained(under_test, name, container, options.cache) for name in names]
        first, second = (reference.of_stream(streams.BY_NAME[name], options.cache, "YU12") for name in names)
        outcome = under_test.run(PYTHON, "-B", program, element, chain, *files, timeout=120)
        wrong = examine(outcome.output.decode().splitlines(), first, second)
        if outcome.status != 0:
            wrong.append(outcome.excerpt())
        failed += bool(wrong)
        print(f"{'FAIL' if wrong else 'ok  '} {element} seeks and switches: {'; '.join(wrong) or 'all frames equal'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""v4l2-ctl decodes streams to files: the bytes must be FFmpeg's.

    ctl.py --daedalus PROGRAM --cache FOLDER [--memory mmap|user]... [--codec CODEC]... [--cuse videoN] [--short]

Each codec with a buffer for each access unit (--stream-from-hdr), and, where a stream may be cut anywhere, with the file's bytes as
they come (--stream-from); a stream that changes its size too. Debian 12's v4l2-ctl has no dma-bufs for mem2mem devices. The tool
gives up when select() has waited for 0.5 to 2 s, so a failure counts only where the machine is punctual
(tests/support/daedalus_tests/punctuality.py).
"""

import hashlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import decoder, measured, punctuality, reference, streams, units  # noqa: E402

# codec -> (V4L2's name of it, streams, whether its bytes may be cut anywhere, with zeros between)
CASES = {
    "h264": ("H264", ["h264_high_b_frames.h264", "h264_unaligned.h264", "h264_change.h264"], True),
    "hevc": ("HEVC", ["hevc_b_frames.hevc", "hevc_change.hevc"], True),
    "vp8": ("VP80", ["vp8.ivf", "vp8_change.ivf"], False),
    "vp9": ("VP90", ["vp9.ivf", "vp9_change.ivf"], False),
    "av1": ("AV01", ["av1.ivf", "av1_change.ivf"], False),
    "mpeg2": ("MPG2", ["mpeg2_b_frames.m2v", "mpeg2_change.m2v"], True),
    "mpeg4": ("MPG4", ["mpeg4_b_frames.m4v", "mpeg4_change.m4v"], False),
    "xvid": ("XVID", ["xvid_packed_b_frames.avi"], False),
    "h263": ("H263", ["h263.h263"], False),
}
RUNS = 4
# The tool fills four buffers of 1 MiB and asks for a drain at the end of the file. A drain begins only where CAPTURE streams
# already, so that the file must be longer.
SEVERAL_BUFFERS = 9 << 20


def frame_sizes(stream):
    """(width, height) of each frame of a synthetic stream."""
    if stream.parts:
        return [size for part in stream.parts for size in frame_sizes(streams.BY_NAME[part])]
    return [tuple(map(int, stream.size.split("x")))] * stream.frames


def frames_of(data, sizes):
    """MD5s of the frames of raw planar 4:2:0; what is too much or too little at the end becomes a frame that is wrong."""
    found, start = [], 0
    for width, height in sizes:
        if start >= len(data):
            break
        length = width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)
        found.append(hashlib.md5(data[start : start + length]).hexdigest())
        start += length
    return found + ([f"{len(data) - start} bytes more"] if start < len(data) else [])


def decode(under_test, run, stream, fourcc, memory, source):
    """One run of v4l2-ctl: what it wrote, and its outcome. `source`: its option and the file."""
    written = under_test.writable("v4l2-ctl.yuv")
    first = frame_sizes(stream)[0]
    size = f"width={first[0]},height={first[1]}"
    outcome = run(
        "sh", "-c", f'exec v4l2-ctl -d "$DAEDALUS_NODE" -x pixelformat={fourcc},{size} -v pixelformat=YU12,{size}'
        f" --stream-{memory} --stream-out-{memory} {source} --stream-to {written}", timeout=60)
    data = written.read_bytes() if written.exists() else b""
    written.unlink(missing_ok=True)
    return data, outcome


def check(under_test, run, cache, name, fourcc, memory, framed):
    """Decodes as often as a late machine asks for; None or what went wrong."""
    stream = streams.BY_NAME[name]
    path = streams.provide(stream, cache)
    target = units.kept_with_headers(path) if framed else under_test.scratch.path / f"{name}.padded"
    if not target.exists():
        target.write_bytes(units.padded(path, SEVERAL_BUFFERS))
    source = f"--stream-from{'-hdr' if framed else ''} {target}"
    expected, wrong = reference.of_stream(stream, cache, "YU12"), None
    for _ in range(RUNS):
        with punctuality.Punctuality() as machine:
            data, outcome = decode(under_test, run, stream, fourcc, memory, source)
        wrong = reference.difference(expected, frames_of(data, frame_sizes(stream)))
        if not wrong or machine.is_punctual():
            break
    return wrong and f"{wrong}; {outcome.excerpt()}"


def cases(codec, short):
    """(stream, whether by --stream-from-hdr) of a codec; the short list for a slow machine."""
    _, names, anywhere = CASES[codec]
    if short:
        return [(next(s.name for s in streams.STREAMS if s.codec == codec and "_small." in s.name), True)]
    return [(name, True) for name in names] + [(name, False) for name in names if anywhere]


def main():
    parser = decoder.arguments(__doc__)
    parser.add_argument("--memory", action="append", choices=["mmap", "user"])
    parser.add_argument("--codec", action="append", choices=list(CASES))
    parser.add_argument("--cuse", default="", metavar="videoN", help="a character device of that name; in a VM")
    parser.add_argument("--short", action="store_true", help="one small stream of each codec")
    parser.add_argument("--prepare", action="store_true", help="only make the files for --stream-from-hdr, if they are not there")
    options = parser.parse_args()
    if options.prepare:
        for codec in options.codec or CASES:
            for name, framed in cases(codec, options.short):
                if framed:
                    units.kept_with_headers(streams.provide(streams.BY_NAME[name], options.cache))
        return 0
    under_test = decoder.Decoder(options.daedalus, options.preload, planes=options.planes)

    def all_with(run):
        failed, cells = 0, measured.Cells()
        letter = measured.cuse_letter() if options.cuse else "R"
        for codec in options.codec or CASES:
            fourcc = CASES[codec][0]
            for memory in options.memory or ["mmap", "user"]:
                for name, framed in cases(codec, options.short):
                    wrong = check(under_test, run, options.cache, name, fourcc, memory, framed)
                    failed += wrong is not None
                    cells.add((codec, "v4l2-ctl", {"user": "userptr"}.get(memory, memory), letter), wrong is None)
                    how = f"--stream-{memory} --stream-from{'-hdr' if framed else ''} {name}"
                    print(f"{'FAIL' if wrong else 'ok  '} {how}{': ' + wrong if wrong else ''}", flush=True)
        measured.note(cells)
        return failed

    if options.cuse:
        with decoder.Device(under_test, options.cuse) as device:
            return 1 if all_with(device.run) else 0
    return 1 if all_with(under_test.run) else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Lets other people's V4L2 clients decode under `daedalus run`: every frame must arrive, bit-exact to FFmpeg's own decoding.

    clients.py --daedalus PROGRAM --cache FOLDER {ffmpeg|gstreamer} [--codec CODEC]... [--io mmap|dmabuf]
    daedalus run --device NODE -- clients.py --within --cache FOLDER ...
"""

import argparse
import hashlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import decoder, measured, raw_formats, reference, streams  # noqa: E402

# codec -> (stream, GStreamer's way from the file to the decoder, or None). AV1 has no V4L2 decoder in either client.
CASES = {
    "h264": [("h264_high_b_frames.h264", "h264parse"), ("h264_container.mp4", "qtdemux ! h264parse"), ("h264_unaligned.h264", "h264parse"),
             ("h264_mbaff.h264", "h264parse")],
    "hevc": [("hevc_b_frames.hevc", "h265parse"), ("hevc_container.mkv", "matroskademux ! h265parse"), ("hevc_10bit.hevc", "h265parse")],
    "vp8": [("vp8.ivf", "ivfparse"), ("vp8_hidden_frames.webm", "matroskademux")],
    "vp9": [("vp9.ivf", "ivfparse ! vp9parse"), ("vp9_hidden_frames.webm", "matroskademux ! vp9parse")],
    "mpeg2": [("mpeg2_b_frames.m2v", "mpegvideoparse"), ("mpeg2_interlaced.m2v", "mpegvideoparse")],
    "mpeg4": [("mpeg4_b_frames.m4v", "mpeg4videoparse")],
    "h263": [("h263_container.3gp", "qtdemux ! h263parse")],
    # GStreamer's parser does not find out what noise is.
    "vc1": [("vc1_whole.vc1", None)],
}
# One of each codec for a slow machine.
SHORT_CASES = {
    "h264": [("h264_small.h264", "h264parse")],
    "hevc": [("hevc_small.hevc", "h265parse")],
    "vp8": [("vp8_small.ivf", "ivfparse")],
    "vp9": [("vp9_small.ivf", "ivfparse ! vp9parse")],
    "mpeg2": [("mpeg2_small.m2v", "mpegvideoparse")],
    "mpeg4": [("mpeg4_small.m4v", "mpeg4videoparse")],
    "h263": [("h263_small.h263", "h263parse")],
    "vc1": [("vc1_whole.vc1", None)],
}
# Only on a node of that kind: a stateful one does not list it. FFmpeg has no V4L2 decoder of it.
JPEG_CASES = {"jpeg": [("mjpeg.mjpeg", "jpegparse")]}
ELEMENT = {"h264": "v4l2h264dec", "hevc": "v4l2h265dec", "vp8": "v4l2vp8dec", "vp9": "v4l2vp9dec", "mpeg2": "v4l2mpeg2dec"}
ELEMENT |= {"mpeg4": "v4l2mpeg4dec", "h263": "v4l2h263dec", "jpeg": "v4l2jpegdec"}


def ffmpeg_command(codec, path):
    """FFmpeg finds the node by itself: it cannot be told one."""
    return [
        "ffmpeg", "-nostdin", "-v", "warning", "-c:v", f"{codec}_v4l2m2m", "-i", path, "-map", "0:v:0",
        "-fps_mode", "passthrough", "-autoscale", "0", "-pix_fmt", "yuv420p", "-f", "framemd5", "-",
    ]


def gstreamer_command(codec, path, chain, io, output):
    """videocodectestsink writes visible pixels only, as planar 4:2:0."""
    # Lists without punctuation of a shell: gst-launch-1.0 takes its pipeline as words.
    return [
        "gst-launch-1.0", "-q", "filesrc", f"location={path}", "!", *chain.split(), "!", ELEMENT[codec],
        f"capture-io-mode={io}", "!", "videocodectestsink", f"location={output}",
    ]


def frames_of(data, size):
    """MD5s of the frames of raw planar 4:2:0."""
    width, height = size
    length = width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)
    return [hashlib.md5(data[start : start + length]).hexdigest() for start in range(0, len(data), length)]


def run_case(under_test, client, codec, case, io, cache):
    """None if all frames came and are right, else what is wrong."""
    name, chain = case
    stream = streams.BY_NAME[name]
    # Neither client knows P010 at this version: both choose 8 bits, and get the high ones.
    expected = reference.of_stream(stream, cache, "YU12" if raw_formats.reduced(stream.pixels) else None)
    path = under_test.readable(streams.provide(stream, cache))
    if client == "ffmpeg":
        outcome = under_test.run(*ffmpeg_command(codec, path), timeout=120)
        actual = reference.parse_framemd5(outcome.output.decode(errors="replace"))
    else:
        written = under_test.writable(f"{name}.{io}.yuv")
        outcome = under_test.run(*gstreamer_command(codec, path, chain, io, written), timeout=120)
        actual = []
        if written.exists():
            actual = frames_of(written.read_bytes(), reference.first_frame(path)[:2])
            written.unlink()
    wrong = reference.difference(expected, actual)
    if wrong or outcome.status != 0:
        return f"{wrong or 'frames equal'}; {outcome.excerpt()}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("client", choices=["ffmpeg", "gstreamer"])
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--daedalus", help="each client is run by `PROGRAM run`")
    target.add_argument("--within", action="store_true", help="the clients find a node by themselves, as this process does")
    parser.add_argument("--preload", default="")
    decoder.add_planes(parser)
    parser.add_argument("--cache", required=True, type=pathlib.Path)
    parser.add_argument("--codec", action="append", choices=[*CASES, *JPEG_CASES])
    parser.add_argument("--io", default="mmap", choices=["mmap", "dmabuf"])
    parser.add_argument("--short", action="store_true", help="one small stream of each codec")
    parser.add_argument("--nobody", action="store_true")
    parser.add_argument("--seccomp", default="")
    options = parser.parse_args()

    if options.within:
        under_test = decoder.Within()
    else:
        under_test = decoder.Decoder(options.daedalus, options.preload, options.nobody, options.seccomp, options.planes, options.nodes)
    cases = SHORT_CASES if options.short else CASES
    cases = JPEG_CASES if options.nodes == "jpeg" else cases
    failed, cells = 0, measured.Cells()
    for codec in options.codec or cases:
        for case in cases[codec]:
            if options.client == "gstreamer" and case[1] is None:
                continue
            wrong = run_case(under_test, options.client, codec, case, options.io, options.cache)
            failed += wrong is not None
            cells.add((codec, options.client, options.io, "S" if options.within else "R"), wrong is None)
            print(f"{'FAIL' if wrong else 'ok  '} {options.client} {options.io} {case[0]}{': ' + wrong if wrong else ''}", flush=True)
    measured.note(cells)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

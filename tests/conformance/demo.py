#!/usr/bin/env python3
"""What scripts/demo shows: real clients decode synthetic streams of every codec, and each frame is compared. Usage: demo.py BUILD"""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import clients  # noqa: E402
from daedalus_tests import decoder, reference, streams  # noqa: E402

_DECODE = [
    "h264_high_b_frames.h264", "h264_mbaff.h264", "h264_change.h264", "hevc_b_frames.hevc", "hevc_10bit.hevc", "vp8.ivf",
    "vp9.ivf", "vp9_change.ivf", "av1.ivf", "mpeg2_b_frames.m2v", "mpeg1_b_frames.m1v", "mpeg4_b_frames.m4v",
    "xvid_packed_b_frames.avi", "h263.h263", "flv1.flv", "mjpeg.mjpeg",
]


def decode(under_test, name, memory, cache):
    """One run of our own client: None or what went wrong."""
    stream = streams.BY_NAME[name]
    path = streams.provide(stream, cache)
    command = under_test.decode_command(path, "--memory", memory)
    outcome = under_test.run(*command)
    wrong = reference.difference(reference.of_stream(stream, cache), reference.parse_framemd5(outcome.output.decode()))
    return wrong or (None if outcome.status == 0 else outcome.excerpt())


def cases(under_test, cache):
    """(client, stream, function) of every row of the table."""
    for index, name in enumerate(_DECODE):
        memory = ("mmap", "userptr", "dmabuf")[index % 3]
        yield f"daedalus decode, {memory}", name, lambda name=name, memory=memory: decode(under_test, name, memory, cache)
    for client, io in (("ffmpeg", "mmap"), ("gstreamer", "mmap"), ("gstreamer", "dmabuf")):
        for codec, (case, *_) in clients.CASES.items():
            if client == "gstreamer" and case[1] is None:
                continue
            label = f"ffmpeg {codec}_v4l2m2m" if client == "ffmpeg" else f"gst-launch-1.0 {clients.ELEMENT[codec]}, {io}"
            yield label, case[0], lambda c=client, k=codec, j=case, i=io: clients.run_case(under_test, c, k, j, i, cache)


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    under_test = decoder.Decoder(build / "src" / "daedalus")
    cache = build / "streams"

    print("$ daedalus run -- v4l2-ctl --all")
    outcome = under_test.run("sh", "-c", 'v4l2-ctl -d "$DAEDALUS_NODE" --all')
    print(outcome.errors + outcome.output.decode(errors="replace"))
    failed = outcome.status != 0

    print(f"{'client':38} {'stream':26} {'frames':>6} {'seconds':>7}  MD5 of every frame")
    for label, name, run in cases(under_test, cache):
        frames = len(reference.of_stream(streams.BY_NAME[name], cache))
        started = time.monotonic()
        wrong = run()
        failed = failed or wrong is not None
        print(f"{label:38} {name:26} {frames:6} {time.monotonic() - started:7.2f}  {wrong or 'equal to FFmpeg'}", flush=True)
    print("Some frames are not what they must be." if failed else "All frames arrived and equal FFmpeg's own decoding, bit for bit.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

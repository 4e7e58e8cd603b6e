#!/usr/bin/env python3
"""What people do with a decoder on any Debian: GStreamer plays a stream with non-square pixels, ffmpeg seeks before it decodes, and
reads a file once more behind its end, without --lenient-poll.

    everyday.py --daedalus PROGRAM --preload LIBRARY --cache FOLDER
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import decoder, reference  # noqa: E402

import clients  # noqa: E402

_MD5 = ("-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-")


def make(under_test, name, *options, size="320x240", seconds=4):
    """An MP4 file with B frames, of which the first ones have times below zero."""
    path = under_test.scratch.path / name
    made = under_test.execute(["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=s={size}:d={seconds}", *options,
                               "-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-g", "30", "-bf", "2", "-pix_fmt", "yuv420p", path])
    if made.status != 0:
        raise SystemExit(f"cannot make {name}: {made.excerpt()}")
    return path


def frames(outcome):
    return reference.parse_framemd5(outcome.output.decode(errors="replace"))


def compared(expected, outcome, actual):
    wrong = reference.difference(expected, actual)
    return f"{wrong or 'frames equal'}; {outcome.excerpt()}" if wrong or outcome.status != 0 else None


def anamorphic(under_test):
    path = make(under_test, "anamorphic.mp4", "-vf", "setsar=16/11", size="352x288", seconds=1)
    expected = frames(under_test.execute(["ffmpeg", "-nostdin", "-v", "error", "-i", path, *_MD5]))
    written = under_test.writable("anamorphic.yuv")
    outcome = under_test.run(*clients.gstreamer_command("h264", path, "qtdemux ! h264parse", "mmap", written), timeout=120)
    actual = clients.frames_of(written.read_bytes(), (352, 288)) if written.exists() else []
    return compared(expected, outcome, actual)


def seeking(under_test, at):
    path = under_test.scratch.path / "seek.mp4"
    if not path.exists():
        make(under_test, path.name)
    expected = frames(under_test.execute(["ffmpeg", "-nostdin", "-v", "error", "-ss", at, "-i", path, *_MD5]))
    outcome = under_test.run("ffmpeg", "-nostdin", "-v", "error", "-c:v", "h264_v4l2m2m", "-ss", at, "-i", path, *_MD5, timeout=120)
    return compared(expected, outcome, frames(outcome))


def looping(under_test):
    """It ends, and shows the file once: libavcodec does not start the device again after a drain."""
    path = make(under_test, "loop.mp4", seconds=1)
    expected = frames(under_test.execute(["ffmpeg", "-nostdin", "-v", "error", "-i", path, *_MD5]))
    outcome = under_test.run("ffmpeg", "-nostdin", "-v", "error", "-stream_loop", "1", "-c:v", "h264_v4l2m2m", "-i", path, *_MD5, timeout=240)
    return compared(expected, outcome, frames(outcome))


def looping_till_told(under_test):
    """SIGTERM ends what would go on for ever."""
    path = make(under_test, "loop.mp4", seconds=1)
    outcome = under_test.run("timeout", "--signal=TERM", "--kill-after=60", "5", "ffmpeg", "-nostdin", "-v", "error", "-stream_loop", "-1",
                             "-c:v", "h264_v4l2m2m", "-i", path, "-f", "null", "-", timeout=120)
    # It was told, and not killed after that.
    return None if outcome.status == 124 else f"status {outcome.status}; {outcome.excerpt()}"


def main():
    options = decoder.arguments(__doc__).parse_args()
    under_test = decoder.Decoder(options.daedalus, options.preload)
    cases = {"GStreamer, pixels of 16:11": lambda: anamorphic(under_test)}
    cases["ffmpeg -stream_loop 1"] = lambda: looping(under_test)
    cases["ffmpeg -stream_loop -1, and SIGTERM"] = lambda: looping_till_told(under_test)
    for at in ("0", "0.5", "1.3", "2.71"):
        cases[f"ffmpeg -ss {at}"] = lambda at=at: seeking(under_test, at)
    failed = 0
    for name, case in cases.items():
        wrong = case()
        failed += wrong is not None
        print(f"{'FAIL' if wrong else 'ok  '} {name}{': ' + wrong if wrong else ''}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

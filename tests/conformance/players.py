#!/usr/bin/env python3
"""ffplay plays a clip of each codec to its end, on a display that nobody sees, by the node's decoder.

    players.py --daedalus PROGRAM --preload LIBRARY --cache FOLDER
"""

import contextlib
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import decoder, streams  # noqa: E402

# FFmpeg's V4L2 decoders do not pass on the header that an MP4 file keeps for MPEG-4 part 2.
CLIPS = {
    "h264": "h264_container.mp4", "hevc": "hevc_container.mkv", "vp8": "vp8_hidden_frames.webm",
    "vp9": "vp9_hidden_frames.webm", "mpeg2": "mpeg2_container.ts", "mpeg4": "mpeg4_container.avi", "h263": "h263_container.3gp",
}
# What `--log ioctl` prints of a frame that the player took.
_TAKEN = re.compile(r"VIDIOC_DQBUF\(\{index=\d+, type=VIDEO_CAPTURE_MPLANE.*planes=\[\{bytesused=([1-9]\d*),")
_DROPPED = re.compile(r"fd= *(\d+)")


@contextlib.contextmanager
def display():
    """An X server in memory; its name."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as server:
        os.close(write)
        try:
            with os.fdopen(read) as told:
                number = told.readline().strip()
            if not number:
                raise SystemExit("Xvfb did not start: run it by hand to see why")
            yield f":{number}"
        finally:
            server.terminate()


def play(under_test, codec, clip, cache):
    """None, or what went wrong."""
    stream = streams.BY_NAME[clip]
    outcome = under_test.execute([
        under_test.program, "--log", "info,ioctl", "run", "--", "ffplay", "-v", "info", "-stats", "-an", "-autoexit",
        "-vcodec", f"{codec}_v4l2m2m", under_test.readable(streams.provide(stream, cache.resolve()))], timeout=60)
    taken = len(_TAKEN.findall(outcome.errors))
    dropped = int(_DROPPED.findall(outcome.errors)[-1]) if _DROPPED.search(outcome.errors) else None
    if outcome.status != 0 or taken != stream.frames or dropped is None or dropped >= stream.frames:
        said = " / ".join(line for line in outcome.errors.splitlines() if "ioctl:" not in line)[-400:]
        return f"status {outcome.status}, took {taken} frames of {stream.frames}, showed all but {dropped}; {said}"
    print(f"ok   ffplay -vcodec {codec}_v4l2m2m {clip}: took {taken} frames, showed all but {dropped}", flush=True)
    return None


def main():
    parser = decoder.arguments(__doc__)
    options = parser.parse_args()
    under_test = decoder.Decoder(options.daedalus, options.preload)
    failed = 0
    with display() as name:
        under_test.environment.update(DISPLAY=name, SDL_VIDEODRIVER="x11", SDL_AUDIODRIVER="dummy")
        for codec, clip in CLIPS.items():
            if wrong := play(under_test, codec, clip, options.cache):
                failed += 1
                print(f"FAIL ffplay -vcodec {codec}_v4l2m2m {clip}: {wrong}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

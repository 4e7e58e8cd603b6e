"""Programs that play clips: the clips, a display for them, and what the daemon's log tells of a program."""

import contextlib
import os
import re
import subprocess

# FFmpeg's V4L2 decoders do not pass on the header that an MP4 file keeps for MPEG-4 part 2.
CLIPS = {
    "h264": "h264_container.mp4", "hevc": "hevc_container.mkv", "vp8": "vp8_hidden_frames.webm",
    "vp9": "vp9_hidden_frames.webm", "mpeg2": "mpeg2_container.ts", "mpeg4": "mpeg4_container.avi", "h263": "h263_container.3gp",
}
# What `--log ioctl` prints of a frame that the player took.
_TAKEN = re.compile(r"VIDIOC_DQBUF\(\{index=\d+, type=VIDEO_CAPTURE_MPLANE.*planes=\[\{bytesused=([1-9]\d*),")


def frames_taken(log):
    """How many pictures a program took from the node, by the lines of `--log ioctl`."""
    return len(_TAKEN.findall(log))


def without_calls(log):
    """The lines of a program and its daemon that are not of `--log ioctl`."""
    return [line for line in log.splitlines() if "ioctl:" not in line]


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

#!/usr/bin/env python3
"""GStreamer's stateless decoders on a stateless node show exactly what FFmpeg decodes.

    stateless.py DAEDALUS CACHE [STREAM]...
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import streams as synthetic  # noqa: E402

SYNTHETIC = ["h264_high_b_frames.h264", "h264_mbaff.h264", "h264_unaligned.h264", "vp8.ivf", "vp8_hidden_frames.webm", "vp9.ivf",
             "vp9_hidden_frames.webm", "mpeg2_b_frames.m2v", "mpeg2_interlaced.m2v", "mpeg2_unaligned.m2v"]
# codec -> what brings its units to the decoder, and the decoder
ELEMENTS = {
    "vp8": "v4l2slvp8dec",
    "vp9": "vp9parse ! v4l2slvp9dec",
    "h264": "h264parse ! v4l2slh264dec",
    "mpeg2video": "mpegvideoparse ! v4l2slmpeg2dec",
}
PLUGINS = ["coreelements", "ivfparse", "matroska", "videoparsersbad", "v4l2codecs", "videoconvertscale", "debugutilsbad"]
TIMEOUT = 120


def plugin_folder():
    ask = ["pkg-config", "--variable=pluginsdir", "gstreamer-1.0"]
    asked = subprocess.run(ask, capture_output=True, text=True, check=False)
    told = asked.stdout.strip()
    return pathlib.Path(told) if told else next(pathlib.Path("/usr/lib").glob("*/gstreamer-1.0"))


def codec_of(stream):
    probe = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=codec_name", "-of", "csv=p=0", stream]
    return subprocess.run(probe, capture_output=True, text=True, check=True).stdout.split()[0].strip(",")


def container_of(stream):
    start = pathlib.Path(stream).read_bytes()[:4]
    return "ivfparse ! " if start == b"DKIF" else "matroskademux ! " if start == b"\x1aE\xdf\xa3" else ""


def by_ffmpeg(stream):
    command = ["ffmpeg", "-v", "error", "-i", stream, "-autoscale", "0", "-fps_mode", "passthrough", "-pix_fmt", "yuv420p",
               "-f", "rawvideo", "-"]
    return hashlib.md5(subprocess.run(command, capture_output=True, check=True).stdout).hexdigest()


def by_gstreamer(daedalus, stream, folder):
    result = pathlib.Path(folder) / "frames"
    pipeline = (f"filesrc location={stream} ! {container_of(stream)}{ELEMENTS[codec_of(stream)]} ! videoconvert ! "
                f"video/x-raw,format=I420 ! videocodectestsink location={result}")
    # A registry of its own, of what is needed: the host's remembers the decoders of the host.
    plugins = pathlib.Path(folder) / "plugins"
    plugins.mkdir()
    for name in PLUGINS:
        (plugins / f"libgst{name}.so").symlink_to(plugin_folder() / f"libgst{name}.so")
    environment = dict(os.environ, GST_REGISTRY=str(pathlib.Path(folder) / "registry"), GST_PLUGIN_SYSTEM_PATH_1_0=str(plugins))
    command = [daedalus, "run", "--nodes", "stateless", "--", "gst-launch-1.0", "-q", *pipeline.split()]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT)
    if not result.exists():
        return f"no frames: {ended.stderr.strip()[-600:]}"
    return hashlib.md5(result.read_bytes()).hexdigest()


def main():
    daedalus, cache, *streams = sys.argv[1:]
    streams += [str(synthetic.provide(synthetic.BY_NAME[name], cache)) for name in SYNTHETIC]
    wrong = 0
    for stream in streams:
        with tempfile.TemporaryDirectory() as folder:
            expected, got = by_ffmpeg(stream), by_gstreamer(daedalus, stream, folder)
        print("equal" if got == expected else f"differs ({got}, not {expected})", stream, flush=True)
        wrong += got != expected
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

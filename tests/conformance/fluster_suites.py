"""Test suites for Fluster, of the streams that are at hand: its own suites name streams that have to be downloaded."""

import csv
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import reference, streams  # noqa: E402

# codec -> (Fluster's name of it, the suffix of what its pipelines read, how ffmpeg writes that from another container)
CODECS = {
    "h264": ("H.264", ".h264", ["-bsf:v", "h264_mp4toannexb"]),
    "hevc": ("H.265", ".hevc", ["-bsf:v", "hevc_mp4toannexb"]),
    "vp8": ("VP8", ".ivf", []),
    "vp9": ("VP9", ".ivf", []),
}
_CONTAINERS = (".mp4", ".mkv", ".webm")
# What Debian 12's FFmpeg and GStreamer can take from a V4L2 decoder at all.
_PIXELS = "yuv420p"
# (part of a stream's name, suffix of the suite, client) of streams that a client of Debian 12 cannot decode by any V4L2 decoder;
# they are kept from it, since both may hang. FFmpeg waits, at a change of size, for frames that ffmpeg itself holds. GStreamer
# negotiates no H.264 of SMPTE 170M primaries with BT.709 transfer, no odd sizes, since those of buffers are even, and no HEVC of
# level 8.5, which V4L2's menu of levels lacks; gst-launch then ends or not.
LEFT_OUT = [("change", "-CHANGE", "FFmpeg-V4L2"), ("cros_test-25fps", "-COLORIMETRY", "GStreamer-V4L2"),
            ("_odd_", "-ODD", "GStreamer-V4L2"), ("transquant_bypass", "-LEVEL", "GStreamer-V4L2")]
# Suites and codecs to which that does not apply.
_FINE = [("-COLORIMETRY", codec) for codec in ("hevc", "vp8", "vp9")]
# Larger or longer ones, and single pictures, say nothing that others do not, and Fluster decodes each three times.
_MOST_SAMPLES = 320 * 240 * 310


def _vectors(folder, codec):
    """(name, file) of the conformance streams of others that are not too large."""
    with open(folder / "manifest.tsv", encoding="utf-8", newline="") as manifest:
        for row in csv.DictReader(manifest, delimiter="\t"):
            width, height = map(int, row["size"].split("x"))
            small = 1 < int(row["frames"]) <= _MOST_SAMPLES // (width * height)
            if row["codec"] == codec and row["pix_fmt"] == _PIXELS and small:
                yield pathlib.Path(row["file"]).name.replace(".", "_"), folder / row["file"]


def _synthetic(cache, codec):
    for stream in streams.STREAMS:
        parts = [streams.BY_NAME[part] for part in stream.parts] or [stream]
        if stream.codec == codec and all(part.pixels == _PIXELS for part in parts):
            yield "synthetic_" + stream.name.replace(".", "_"), streams.provide(stream, cache)


def _plain(source, target, codec):
    """Puts at `target` what Fluster's pipelines can read: elementary streams and IVF."""
    if source.suffix not in _CONTAINERS:
        os.symlink(source.resolve(), target)
        return
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", source, "-map", "0:v:0", "-c", "copy", *CODECS[codec][2], target]
    subprocess.run(command, check=True)


def _entry(name, source, codec, folder):
    """One entry of a suite, its stream in `folder`."""
    folder.mkdir(parents=True)
    path = folder / (name + CODECS[codec][1])
    _plain(source, path, codec)
    return {
        "name": name, "source": "", "source_checksum": "__skip__", "input_file": path.name, "output_format": _PIXELS,
        "result": reference.whole(path, _PIXELS),
    }


def build(target, cache, vectors, codec):
    """Writes the suites of a codec below the folder `target`, where Fluster's -tsd and -r find them.

    Returns (name of the suite, client that it is kept from, or "") of each.
    """
    suites = {}
    for vector, path in list(_synthetic(cache, codec)) + (list(_vectors(pathlib.Path(vectors), codec)) if vectors else []):
        suffix, without = next(((s, w) for part, s, w in LEFT_OUT if part in vector and (s, codec) not in _FINE), ("", ""))
        name = codec.upper() + suffix
        suites.setdefault((name, without), []).append(_entry(vector, path, codec, target / "resources" / name / vector))
    (target / "suites").mkdir()
    for (name, _), entries in suites.items():
        suite = {"name": name, "codec": CODECS[codec][0], "description": "Streams at hand", "test_vectors": entries}
        (target / "suites" / f"{name}.json").write_text(json.dumps(suite, indent=1), encoding="utf-8")
    return list(suites)

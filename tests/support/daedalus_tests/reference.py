"""The MD5s that a stream's frames must have, by FFmpeg's own single-threaded decoding."""

import hashlib
import subprocess

from . import raw_formats, streams

def parse_framemd5(text):
    """The last column of each frame line."""
    return [line.split(",")[-1].strip() for line in text.splitlines() if line and not line.startswith("#")]


# Without it FFmpeg leaves columns in that the stream crops, where that keeps its frames aligned.
_EXACT_CROP = ["-flags", "unaligned"]


def _ffmpeg(path, *output):
    command = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", *_EXACT_CROP, "-i", str(path), "-map", "0:v:0"]
    command += ["-fps_mode", "passthrough", "-autoscale", "0", *output, "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout


def native(path):
    """MD5s of the frames in FFmpeg's own planar format."""
    return parse_framemd5(_ffmpeg(path, "-f", "framemd5").decode())


def whole(path, pixels):
    """The MD5 of all frames' bytes at once, each in its own size: what Fluster compares."""
    return hashlib.md5(_ffmpeg(path, "-f", "rawvideo", "-pix_fmt", pixels)).hexdigest()


def first_frame(path):
    """Width, height (both cropped) and pixel format of the first frame; a container may tell something else."""
    command = ["ffprobe", "-v", "error", *_EXACT_CROP, "-select_streams", "v:0", "-read_intervals", "%+#1", "-show_entries"]
    command += ["frame=width,height,pix_fmt", "-of", "csv=p=0", str(path)]
    line = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    width, height, pixels = line.strip(",").split(",")[:3]
    return int(width), int(height), pixels


def _packed(path, pixels, fourccs):
    """MD5s of the frames in each of the CAPTURE formats; of a stream that keeps its size and layout."""
    width, height, _ = first_frame(path)
    raw = _ffmpeg(path, "-f", "rawvideo")
    size = raw_formats.frame_bytes(pixels, width, height)
    frames = [raw[start : start + size] for start in range(0, len(raw), size)]
    return {
        fourcc: [hashlib.md5(raw_formats.pack(frame, pixels, width, height, fourcc)).hexdigest() for frame in frames]
        for fourcc in fourccs
    }


def _kept(stream, cache, fourcc):
    return cache / f"{stream.name}.{fourcc or 'native'}.md5"


def _keep(path, md5s):
    fresh = path.with_suffix(f".new-{id(md5s)}")
    fresh.write_text("\n".join(md5s), encoding="utf-8")
    fresh.rename(path)


def of_formats(stream, cache, fourccs):
    """of_stream() of each of the formats, from one decoding."""
    missing = [fourcc for fourcc in fourccs if not _kept(stream, cache, fourcc).exists()]
    if missing:
        for fourcc, md5s in _packed(streams.provide(stream, cache), stream.decoded, missing).items():
            _keep(_kept(stream, cache, fourcc), md5s)
    return {fourcc: of_stream(stream, cache, fourcc) for fourcc in fourccs}


def of_stream(stream, cache, fourcc=None):
    """MD5s of a synthetic stream's frames, FFmpeg's own or in a CAPTURE format; kept in `cache`, since several tests ask for
    the same.

    A stream of several sizes has the frames of its parts: FFmpeg's command line drops a frame where MPEG-2 changes size.
    """
    if stream.changes_size:
        return [md5 for part in stream.parts for md5 in of_stream(streams.BY_NAME[part], cache, fourcc)]
    kept = _kept(stream, cache, fourcc)
    if not kept.exists():
        path = streams.provide(stream, cache)
        _keep(kept, _packed(path, stream.decoded, [fourcc])[fourcc] if fourcc else native(path))
    return kept.read_text(encoding="utf-8").split()


def difference(expected, actual):
    """None if equal, else where the frames part, for people."""
    if expected == actual:
        return None
    first = next((i for i, (a, b) in enumerate(zip(expected, actual)) if a != b), min(len(expected), len(actual)))
    wrong = sum(a != b for a, b in zip(expected, actual))
    return f"{len(actual)} frames, expected {len(expected)}; {wrong} differ, the first at {first}"

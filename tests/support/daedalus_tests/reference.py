"""The MD5s that a stream's frames must have, by FFmpeg's own single-threaded decoding."""

import hashlib
import subprocess

from . import streams

# What a planar frame is called in V4L2: its bytes are FFmpeg's.
PLANAR = {"yuv420p": "YU12", "yuvj420p": "YU12", "yuv422p": "422P", "yuvj422p": "422P", "yuv444p": "YM24"}
PLANAR |= {"yuvj444p": "YM24", "gray": "GREY"}
# What has to be interleaved: bits to shift left, so that the value stands in the high bits.
_SEMI_PLANAR = {"NV12": ("yuv420p", 0), "NV12M": ("yuv420p", 0), "P010": ("yuv420p10le", 6), "P012": ("yuv420p12le", 4)}
_SAME_BYTES = {"YM12": "YU12", "YU12": "YU12"}
# No V4L2 format holds these.
REFUSED = {"gbrp", "yuv444p10le", "yuv422p10le", "yuvj440p", "yuvj411p"}


def capture_format(pixels):
    """The CAPTURE format in which FFmpeg's `pixels` are compared, or None if there is none."""
    return PLANAR.get(pixels) or {"yuv420p10le": "P010", "yuv420p12le": "P012"}.get(pixels)


def parse_framemd5(text):
    """The last column of each frame line."""
    return [line.split(",")[-1].strip() for line in text.splitlines() if line and not line.startswith("#")]


# Without it FFmpeg leaves columns in that the stream crops, where that keeps its frames aligned.
_EXACT_CROP = ["-flags", "unaligned"]


def _ffmpeg(path, *output):
    command = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", *_EXACT_CROP, "-i", str(path), "-map", "0:v:0"]
    command += ["-vsync", "passthrough", "-autoscale", "0", *output, "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout


def native(path):
    """MD5s of the frames in FFmpeg's own planar format."""
    return parse_framemd5(_ffmpeg(path, "-f", "framemd5").decode())


def _interleave(raw, width, height, sample_bytes, shift):
    """One planar 4:2:0 frame with Cb and Cr interleaved, samples shifted into the high bits."""
    luma = width * height
    chroma = (width + 1) // 2 * ((height + 1) // 2)
    samples = memoryview(raw)
    if sample_bytes == 2:
        samples = [value << shift for value in samples.cast("H")]
    pairs = [0] * (2 * chroma)
    pairs[0::2] = samples[luma : luma + chroma]
    pairs[1::2] = samples[luma + chroma : luma + 2 * chroma]
    if sample_bytes == 1:
        return bytes(samples[:luma]) + bytes(pairs)
    return b"".join(value.to_bytes(2, "little") for value in [*samples[:luma], *pairs])


def first_frame(path):
    """Width, height (both cropped) and pixel format of the first frame; a container may tell something else."""
    command = ["ffprobe", "-v", "error", *_EXACT_CROP, "-select_streams", "v:0", "-read_intervals", "%+#1", "-show_entries"]
    command += ["frame=width,height,pix_fmt", "-of", "csv=p=0", str(path)]
    line = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    width, height, pixels = line.strip(",").split(",")[:3]
    return int(width), int(height), pixels


def semi_planar(path, fourcc):
    """MD5s of the frames in NV12, P010 and the like; of a stream that keeps its size."""
    pixels, shift = _SEMI_PLANAR[fourcc]
    width, height, own = first_frame(path)
    # FFmpeg must not convert the range of its values.
    pixels = "yuvj420p" if own == "yuvj420p" else pixels
    raw = _ffmpeg(path, "-f", "rawvideo", "-pix_fmt", pixels)
    sample_bytes = 2 if shift else 1
    size = (width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)) * sample_bytes
    frames = (raw[start : start + size] for start in range(0, len(raw), size))
    return [hashlib.md5(_interleave(frame, width, height, sample_bytes, shift)).hexdigest() for frame in frames]


def of_file(path, fourcc):
    """MD5s of a file's frames in a CAPTURE format."""
    return semi_planar(path, fourcc) if fourcc in _SEMI_PLANAR else native(path)


def of_stream(stream, cache, fourcc):
    """MD5s of a synthetic stream's frames; kept in `cache`, since several tests ask for the same.

    A stream of several sizes has the frames of its parts: FFmpeg's command line drops a frame where MPEG-2 changes size.
    """
    if stream.changes_size:
        return [md5 for part in stream.parts for md5 in of_stream(streams.BY_NAME[part], cache, fourcc)]
    fourcc = _SAME_BYTES.get(fourcc, fourcc)
    kept = cache / f"{stream.name}.{fourcc}.md5"
    if not kept.exists():
        md5s = of_file(streams.provide(stream, cache), fourcc)
        fresh = kept.with_suffix(f".new-{id(md5s)}")
        fresh.write_text("\n".join(md5s), encoding="utf-8")
        fresh.rename(kept)
    return kept.read_text(encoding="utf-8").split()


def difference(expected, actual):
    """None if equal, else where the frames part, for people."""
    if expected == actual:
        return None
    first = next((i for i, (a, b) in enumerate(zip(expected, actual)) if a != b), min(len(expected), len(actual)))
    wrong = sum(a != b for a, b in zip(expected, actual))
    return f"{len(actual)} frames, expected {len(expected)}; {wrong} differ, the first at {first}"

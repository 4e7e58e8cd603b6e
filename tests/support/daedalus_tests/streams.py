"""Small synthetic streams of every codec, made by the ffmpeg command line when a test first asks for them."""

import dataclasses
import fcntl
import os
import pathlib
import struct
import subprocess

from . import jpeg_sampling, noise_vc1

SKIP = 77  # the exit status that Meson counts as "skipped"


@dataclasses.dataclass(frozen=True)
class Stream:
    """One stream: `options` are ffmpeg's; a stream with `parts` is these others, one after the other; of one
    that is `cut`, so many bytes are missing at its start, as where a client joins a broadcast. Streams of `rare`
    pixels are for the test of formats alone; `jpeg` tells how the file's JPEG images are changed (jpeg_sampling.py)."""

    name: str
    codec: str
    options: str = ""
    size: str = "320x240"
    pixels: str = "yuv420p"
    frames: int = 30
    parts: tuple = ()
    cut: int = 0
    rare: bool = False
    jpeg: str = ""
    seed: int = 7  # of noise

    @property
    def is_long(self):
        return bool(self.parts) or self.frames > 16

    @property
    def decoded(self):
        """FFmpeg's name for the layout of the decoded frames, where that is not what was encoded."""
        jpeg = {"411": "yuvj411p", "440": "yuvj440p", "rgb": "gbrp"}
        if self.jpeg == "12":
            return self.pixels.replace("yuvj", "yuv") + "16le"
        return jpeg.get(self.jpeg) or {"rgb24": "gbrp"}.get(self.pixels, self.pixels)

    @property
    def changes_size(self):
        return len(self.parts) > 1


_X264 = "-c:v libx264 -preset veryfast -threads 1"
_X265 = "-c:v libx265 -preset ultrafast -x265-params log-level=none:pools=none:frame-threads=1:"
_VPX = "-c:v libvpx -cpu-used 8 -deadline realtime -threads 1 -b:v 300k"
_VP9 = "-c:v libvpx-vp9 -cpu-used 8 -deadline realtime -threads 1 -b:v 300k"
_AOM = "-c:v libaom-av1 -cpu-used 8 -threads 1 -b:v 300k"
_MPEG2 = "-c:v mpeg2video -threads 1 -b:v 1M"
_MPEG1 = "-c:v mpeg1video -threads 1 -b:v 1M"
_MPEG4 = "-c:v mpeg4 -threads 1 -b:v 800k"
# Without it, a file of this name would become an MP4 container.
_M4V = f"{_MPEG4} -f m4v"
_XVID = "-c:v libxvid -threads 1 -b:v 800k"
_H263 = "-c:v h263 -threads 1 -b:v 600k"
_FLV1 = "-c:v flv -threads 1 -b:v 800k"
_MJPEG = "-c:v mjpeg -threads 1 -q:v 4"
# Two columns, two lines from the four sides: more than alignment alone ever cuts.
_FOUR_SIDES = "crop_left=6:crop_right=10:crop_top=4:crop_bottom=2"



def _rare():
    """Every pixel layout that V4L2 has and an encoder makes, beside those that all tests use."""
    deep = [f"yuv{chroma}p{depth}le" for depth in (10, 12) for chroma in (422, 444)]
    rgb = ["gbrp", "gbrp10le", "gbrp12le"]
    grey = ["gray10le", "gray12le"]
    common = {"size": "130x98", "frames": 4, "rare": True}
    for pixels in ("yuv422p10le", "yuv444p10le"):
        yield Stream(f"h264_{pixels}.h264", "h264", _X264, pixels=pixels, **common)
    yield Stream("h264_rgb.h264", "h264", "-c:v libx264rgb -preset veryfast -threads 1", pixels="rgb24", **common)
    for pixels in (*deep, *rgb, *grey):
        yield Stream(f"hevc_{pixels}.hevc", "hevc", f"{_X265}bframes=1", pixels=pixels, **common)
    for pixels in ("yuv440p", *deep, "yuv440p10le", "yuv440p12le", *rgb):
        profile = 3 if pixels.endswith("le") else 1
        yield Stream(f"vp9_{pixels}.ivf", "vp9", f"{_VP9} -profile:v {profile}", pixels=pixels, **common)
    for pixels in ("gray", *deep, *rgb, *grey):
        yield Stream(f"av1_{pixels}.ivf", "av1", _AOM, pixels=pixels, **common)
    common |= {"size": "128x96"}
    for source in ("yuvj420p", "yuvj422p", "yuvj444p"):
        yield Stream(f"mjpeg_12bit_{source}.mjpeg", "mjpeg", _MJPEG, pixels=source, jpeg="12", **common)
    for sampling, source in (("411", "yuvj420p"), ("440", "yuvj422p"), ("rgb", "yuvj444p")):
        yield Stream(f"mjpeg_{sampling}.mjpeg", "mjpeg", _MJPEG, pixels=source, jpeg=sampling, **common)


STREAMS = [
    Stream("h264_high_b_frames.h264", "h264", f"{_X264} -bf 3 -g 12"),
    Stream("h264_baseline_slices.h264", "h264", f"{_X264} -profile:v baseline -slices 4 -g 10"),
    Stream("h264_mbaff.h264", "h264", f"{_X264} -bf 2 -flags +ildct+ilme -x264-params tff=1", size="352x288"),
    Stream("h264_cropped.h264", "h264", f"{_X264} -bsf:v h264_metadata={_FOUR_SIDES}", size="336x256"),
    Stream("h264_unaligned.h264", "h264", f"{_X264} -bf 2", size="322x242"),
    Stream("h264_container.mp4", "h264", f"{_X264} -bf 2 -g 15"),
    Stream("h264_delimited.h264", "h264", f"{_X264} -bf 0 -bsf:v h264_metadata=aud=insert", size="1280x720"),
    Stream("h264_1080p.h264", "h264", f"{_X264} -bf 1", size="1920x1080", frames=5),
    Stream("h264_small.h264", "h264", f"{_X264} -bf 1", size="176x144", frames=15),
    Stream("h264_large.h264", "h264", f"{_X264} -bf 1", size="352x288", frames=15),
    Stream("h264_change.h264", "h264", parts=("h264_small.h264", "h264_large.h264", "h264_small.h264")),
    Stream("h264_cut.h264", "h264", parts=("h264_high_b_frames.h264",), cut=9000),
    Stream("h264_10bit.h264", "h264", f"{_X264} -bf 2", pixels="yuv420p10le", frames=15),
    Stream("h264_422.h264", "h264", _X264, pixels="yuv422p", frames=15),
    Stream("h264_444.h264", "h264", _X264, pixels="yuv444p", frames=15),
    Stream("hevc_b_frames.hevc", "hevc", f"{_X265}bframes=3:keyint=12"),
    Stream("hevc_wpp.hevc", "hevc", f"{_X265}wpp=1:bframes=0"),
    Stream("hevc_cropped.hevc", "hevc", f"{_X265}bframes=2 -bsf:v hevc_metadata={_FOUR_SIDES}", size="336x256"),
    Stream("hevc_unaligned.hevc", "hevc", f"{_X265}bframes=2", size="322x242"),
    Stream("hevc_fields.hevc", "hevc", f"{_X265}interlace=tff", size="176x144", frames=10),
    Stream("hevc_container.mkv", "hevc", f"{_X265}bframes=2"),
    Stream("hevc_small.hevc", "hevc", f"{_X265}bframes=1", size="176x144", frames=15),
    Stream("hevc_large.hevc", "hevc", f"{_X265}bframes=1", size="352x288", frames=15),
    Stream("hevc_change.hevc", "hevc", parts=("hevc_small.hevc", "hevc_large.hevc", "hevc_small.hevc")),
    # Depth and sampling change, size does not: in and out of grey and of whole pixels.
    Stream("hevc_layouts.hevc", "hevc", parts=tuple(f"hevc_{p}le.hevc" for p in ("yuv422p10", "gray10", "gbrp12", "yuv422p10"))),
    Stream("hevc_cut.hevc", "hevc", parts=("hevc_b_frames.hevc",), cut=9000),
    Stream("hevc_10bit.hevc", "hevc", f"{_X265}bframes=2", pixels="yuv420p10le"),
    Stream("hevc_12bit.hevc", "hevc", f"{_X265}bframes=2", pixels="yuv420p12le", frames=15),
    Stream("hevc_422.hevc", "hevc", f"{_X265}bframes=2", pixels="yuv422p", frames=15),
    Stream("hevc_444.hevc", "hevc", f"{_X265}bframes=2", pixels="yuv444p", frames=15),
    Stream("hevc_grey.hevc", "hevc", f"{_X265}bframes=2", pixels="gray", frames=15),
    Stream("vp8.ivf", "vp8", f"{_VPX} -g 15"),
    Stream("vp8_hidden_frames.webm", "vp8", "-c:v libvpx -cpu-used 4 -b:v 300k -auto-alt-ref 1 -lag-in-frames 12"),
    Stream("vp8_odd.ivf", "vp8", _VPX, size="321x239"),
    Stream("vp8_small.ivf", "vp8", _VPX, size="176x144", frames=15),
    Stream("vp8_large.ivf", "vp8", _VPX, size="352x288", frames=15),
    Stream("vp8_change.ivf", "vp8", parts=("vp8_small.ivf", "vp8_large.ivf", "vp8_small.ivf")),
    Stream("vp9.ivf", "vp9", f"{_VP9} -g 15"),
    Stream("vp9_hidden_frames.webm", "vp9", "-c:v libvpx-vp9 -cpu-used 4 -b:v 300k -auto-alt-ref 1 -lag-in-frames 12"),
    Stream("vp9_odd.ivf", "vp9", _VP9, size="319x241"),
    Stream("vp9_small.ivf", "vp9", _VP9, size="176x144", frames=15),
    Stream("vp9_large.ivf", "vp9", _VP9, size="352x288", frames=15),
    Stream("vp9_change.ivf", "vp9", parts=("vp9_small.ivf", "vp9_large.ivf", "vp9_small.ivf")),
    Stream("vp9_10bit.ivf", "vp9", f"{_VP9} -profile:v 2", pixels="yuv420p10le", frames=15),
    Stream("vp9_12bit.ivf", "vp9", f"{_VP9} -profile:v 2", pixels="yuv420p12le", frames=15),
    Stream("vp9_422.ivf", "vp9", f"{_VP9} -profile:v 1", pixels="yuv422p", frames=15),
    Stream("vp9_444.ivf", "vp9", f"{_VP9} -profile:v 1", pixels="yuv444p", frames=15),
    Stream("av1.ivf", "av1", f"{_AOM} -g 15 -lag-in-frames 10"),
    Stream("av1_container.mkv", "av1", _AOM),
    Stream("av1_odd.ivf", "av1", _AOM, size="322x238"),
    Stream("av1_small.ivf", "av1", _AOM, size="176x144", frames=15),
    Stream("av1_large.ivf", "av1", _AOM, size="352x288", frames=15),
    Stream("av1_change.ivf", "av1", parts=("av1_small.ivf", "av1_large.ivf", "av1_small.ivf")),
    Stream("av1_grain.ivf", "av1", f"{_AOM} -aom-params film-grain-test=3", size="176x144", frames=10),
    Stream("av1_10bit.ivf", "av1", _AOM, pixels="yuv420p10le", frames=15),
    Stream("av1_12bit.ivf", "av1", _AOM, pixels="yuv420p12le", frames=15),
    Stream("av1_422.ivf", "av1", _AOM, pixels="yuv422p", frames=15),
    Stream("av1_444.ivf", "av1", _AOM, pixels="yuv444p", frames=15),
    Stream("mpeg2_422.m2v", "mpeg2", f"{_MPEG2} -bf 2", pixels="yuv422p", frames=15),
    Stream("mpeg2_b_frames.m2v", "mpeg2", f"{_MPEG2} -bf 2 -g 12"),
    Stream("mpeg2_interlaced.m2v", "mpeg2", f"{_MPEG2} -bf 2 -flags +ildct+ilme -top 1"),
    Stream("mpeg2_unaligned.m2v", "mpeg2", _MPEG2, size="330x250"),
    Stream("mpeg2_container.ts", "mpeg2", f"{_MPEG2} -bf 2"),
    Stream("mpeg2_small.m2v", "mpeg2", f"{_MPEG2} -bf 1", size="176x144", frames=15),
    Stream("mpeg2_large.m2v", "mpeg2", f"{_MPEG2} -bf 1", size="352x288", frames=15),
    Stream("mpeg2_change.m2v", "mpeg2", parts=("mpeg2_small.m2v", "mpeg2_large.m2v", "mpeg2_small.m2v")),
    Stream("mpeg2_cut.m2v", "mpeg2", parts=("mpeg2_b_frames.m2v",), cut=40000),
    Stream("mpeg1_b_frames.m1v", "mpeg1", f"{_MPEG1} -bf 2 -g 12"),
    Stream("mpeg1_unaligned.m1v", "mpeg1", _MPEG1, size="330x250"),
    Stream("mpeg1_container.mpg", "mpeg1", f"{_MPEG1} -bf 2"),
    Stream("mpeg1_small.m1v", "mpeg1", f"{_MPEG1} -bf 1", size="176x144", frames=15),
    Stream("mpeg1_large.m1v", "mpeg1", f"{_MPEG1} -bf 1", size="352x288", frames=15),
    Stream("mpeg1_change.m1v", "mpeg1", parts=("mpeg1_small.m1v", "mpeg1_large.m1v", "mpeg1_small.m1v")),
    Stream("mpeg4_b_frames.m4v", "mpeg4", f"{_M4V} -bf 2 -g 12"),
    Stream("mpeg4_interlaced.m4v", "mpeg4", f"{_M4V} -bf 2 -flags +ildct+ilme -top 1"),
    Stream("mpeg4_quarter_pixels.m4v", "mpeg4", f"{_M4V} -bf 1 -flags +qpel+mv4 -trellis 1"),
    Stream("mpeg4_unaligned.m4v", "mpeg4", f"{_M4V} -data_partitioning 1 -ps 400", size="322x242"),
    Stream("mpeg4_container.mp4", "mpeg4", f"{_MPEG4} -bf 2"),
    Stream("mpeg4_container.avi", "mpeg4", f"{_MPEG4} -bf 2"),
    Stream("mpeg4_small.m4v", "mpeg4", f"{_M4V} -bf 1", size="176x144", frames=15),
    Stream("mpeg4_large.m4v", "mpeg4", f"{_M4V} -bf 1", size="352x288", frames=15),
    Stream("mpeg4_change.m4v", "mpeg4", parts=("mpeg4_small.m4v", "mpeg4_large.m4v", "mpeg4_small.m4v")),
    Stream("xvid_small.avi", "xvid", f"{_XVID} -bf 1", size="176x144", frames=14),
    # Two pictures in one packet, and an empty one after them: how B pictures came into AVI.
    Stream("xvid_packed_b_frames.avi", "xvid", f"{_XVID} -bf 2 -g 12"),
    Stream("xvid_unaligned.avi", "xvid", f"{_XVID} -flags +mv4", size="322x242"),
    # Nothing in the stream itself says Xvid: only the container's name for it.
    Stream("xvid_by_name.avi", "xvid", "-c:v mpeg4 -threads 1 -b:v 800k -bf 1 -fflags +bitexact -flags:v +bitexact -vtag XVID"),
    Stream("h263.h263", "h263", f"{_H263} -g 12", size="352x288"),
    Stream("h263_container.3gp", "h263", f"{_H263}", size="176x144"),
    Stream("h263_odd.h263", "h263", "-c:v h263p -threads 1 -b:v 600k -umv 1 -flags +aic", size="324x244"),
    Stream("h263_small.h263", "h263", _H263, size="176x144", frames=15),
    Stream("h263_large.h263", "h263", _H263, size="352x288", frames=15),
    Stream("h263_change.h263", "h263", parts=("h263_small.h263", "h263_large.h263", "h263_small.h263")),
    Stream("flv1_small.flv", "flv1", _FLV1, size="176x144", frames=15),
    Stream("flv1.flv", "flv1", f"{_FLV1} -g 12"),
    Stream("flv1_odd.flv", "flv1", _FLV1, size="321x239"),
    Stream("mjpeg.mjpeg", "mjpeg", _MJPEG, pixels="yuvj420p"),
    Stream("mjpeg_odd.mjpeg", "mjpeg", _MJPEG, pixels="yuvj420p", size="321x239"),
    Stream("mjpeg_container.avi", "mjpeg", _MJPEG, pixels="yuvj422p", frames=15),
    Stream("mjpeg_444.mjpeg", "mjpeg", _MJPEG, pixels="yuvj444p", frames=15),
    Stream("mjpeg_small.mjpeg", "mjpeg", _MJPEG, pixels="yuvj420p", size="176x144", frames=15),
    Stream("mjpeg_large.mjpeg", "mjpeg", _MJPEG, pixels="yuvj420p", size="352x288", frames=15),
    Stream("mjpeg_change.mjpeg", "mjpeg", parts=("mjpeg_small.mjpeg", "mjpeg_large.mjpeg", "mjpeg_small.mjpeg")),
    # Noise: no free encoder makes VC-1.
    Stream("vc1_small.vc1", "vc1", size="176x144", frames=8),
    # Each of its pictures gives a frame. In a drain FFmpeg's V4L2 decoder takes the empty buffer of one that gives none for the end.
    Stream("vc1_whole.vc1", "vc1", size="176x144", frames=8, seed=1),
    Stream("vc1_large.vc1", "vc1", size="352x288", frames=8),
    Stream("vc1_change.vc1", "vc1", parts=("vc1_small.vc1", "vc1_large.vc1", "vc1_small.vc1")),
    Stream("vc1_main_profile.rcv", "vc1l", size="178x98", frames=16),
]

STREAMS += _rare()

BY_NAME = {stream.name: stream for stream in STREAMS}
CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg2", "mpeg1", "mpeg4", "xvid", "h263", "flv1", "mjpeg", "vc1", "vc1l")


def _join(paths):
    """Elementary streams are joined byte by byte; an IVF file has one header, and frame times that rise."""
    if paths[0].suffix != ".ivf":
        return b"".join(path.read_bytes() for path in paths)
    header, joined, time = None, b"", 0
    for path in paths:
        data = path.read_bytes()
        header = header or data[:32]
        position = 32
        while position + 12 <= len(data):
            length = struct.unpack_from("<I", data, position)[0]
            joined += struct.pack("<IQ", length, time) + data[position + 12 : position + 12 + length]
            position += 12 + length
            time += 1
    return header[:24] + struct.pack("<I", time) + header[28:] + joined


def _make(stream, path, cache):
    if stream.parts:
        path.write_bytes(_join([provide(BY_NAME[part], cache) for part in stream.parts])[stream.cut :])
        return
    if stream.codec in ("vc1", "vc1l"):
        width, height = map(int, stream.size.split("x"))
        make = noise_vc1.annex_g if stream.codec == "vc1" else noise_vc1.annex_l
        path.write_bytes(make(width, height, stream.frames, stream.seed))
        return
    # Motion, detail and noise: a frame must not equal another by chance.
    source = f"testsrc2=size=320x240:rate=30,scale={stream.size.replace('x', ':')},noise=alls=4:allf=t:all_seed=7"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-frames:v", str(stream.frames)]
    command += ["-pix_fmt", stream.pixels, *stream.options.split(), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not path.stat().st_size:
        raise RuntimeError(f"{stream.name}: ffmpeg cannot make it: {done.stderr.strip()}")
    if stream.jpeg:
        path.write_bytes(jpeg_sampling.changed(path.read_bytes(), stream.jpeg))


def provide(stream, cache):
    """The stream's file in the folder `cache`, made if it is not there. Several processes may ask at once."""
    cache = pathlib.Path(cache)
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / stream.name
    if path.exists():
        return path
    with open(cache / f".{stream.name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            fresh = cache / f"new-{os.getpid()}-{stream.name}"
            _make(stream, fresh, cache)
            fresh.rename(path)
    return path

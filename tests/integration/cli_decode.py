#!/usr/bin/env python3
"""What `daedalus decode` makes of files: the frames that ffmpeg shows of them. Usage: cli_decode.py DAEDALUS PRELOAD_LIBRARY"""

import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import cases  # noqa: E402

DAEDALUS = pathlib.Path(sys.argv[1]).resolve()

_X264 = ("-c:v", "libx264", "-preset", "veryfast", "-threads", "1")


def _md5s(*command, stdin=subprocess.DEVNULL):
    done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=60, check=True)
    return [line.split(",")[-1].strip() for line in done.stdout.splitlines() if line[0] != "#"]


def decoded(path, *options, stdin=subprocess.DEVNULL):
    return _md5s(DAEDALUS, "decode", "--in-process", *options, "--framemd5", "-", str(path), stdin=stdin)


def reference(path, *options):
    return _md5s("ffmpeg", "-nostdin", "-v", "fatal", "-threads", "1", *options, "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough",
                 "-f", "framemd5", "-")


class Decode(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="daedalus-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def make(self, name, *options, size="64x64", frames=10):
        path = self.folder / name
        source = f"testsrc2=s={size},noise=alls=4:allf=t:all_seed=7"
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-frames:v", str(frames),
                        "-pix_fmt", "yuv420p", *options, str(path)], check=True)
        return path

    def test_standard_input_is_a_file(self):
        path = self.make("stream.h264", *_X264)
        expected = reference(path)
        self.assertEqual(len(expected), 10)
        for name in ("-", "/dev/stdin"):
            with open(path, "rb") as stream:
                self.assertEqual(decoded(name, stdin=stream), expected)
            with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
                self.assertEqual(decoded(name, stdin=cat.stdout), expected)

    def test_it_takes_the_video_that_ffmpeg_takes(self):
        def sizes(*dispositions):
            path = self.folder / "two.mkv"
            # Their lengths tell the twins apart.
            sources = ("testsrc2=s=64x64:d=0.04", "testsrc2=s=96x64:d=0.08", "testsrc2=s=96x64:d=0.12")
            inputs = [word for source in sources for word in ("-f", "lavfi", "-i", source)]
            marks = [word for i, mark in enumerate(dispositions) for word in (f"-disposition:v:{i}", mark)]
            subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *inputs, "-map", "0", "-map", "1", "-map", "2:v", "-c:v", "mpeg4",
                            *marks, str(path)], check=True)
            text = subprocess.run([DAEDALUS, "decode", "--in-process", "--framemd5", "-", str(path)], capture_output=True, text=True,
                                  timeout=60, check=True).stdout
            path.unlink()
            return [line.split(",")[4].strip() for line in text.splitlines() if line[0] != "#"]

        def bytes_of(width, frames):
            return [str(width * 64 * 3 // 2)] * frames

        self.assertEqual(sizes("0", "0", "0"), bytes_of(96, 2))
        self.assertEqual(sizes("default", "0", "0"), bytes_of(64, 1))
        self.assertEqual(sizes("default", "0", "default"), bytes_of(96, 3))
        self.assertEqual(sizes("default", "attached_pic", "0"), bytes_of(64, 1))

    def test_packed_pictures_at_the_end_are_decoded(self):
        # The last packet has a P picture and the B picture before it, and no placeholder follows.
        path = self.make("packed.avi", "-c:v", "libxvid", "-bf", "2", size="96x96", frames=16)
        ours, theirs = decoded(path), reference(path)
        self.assertEqual(len(ours), len(theirs) + 1)
        self.assertEqual(ours[:-2] + ours[-1:], theirs)

    def test_the_container_crops_what_the_stream_does_not(self):
        path = self.make("cropped.mp4", *_X264)
        whole = decoded(path)
        data = bytearray(path.read_bytes())
        entry = data.index(b"avc1", data.index(b"stsd"))
        for size, cropped in (((58, 50), True), ((48, 50), False), ((58, 80), False)):
            struct.pack_into(">HH", data, entry + 28, *size)
            path.write_bytes(data)
            self.assertEqual(decoded(path), reference(path))
            self.assertEqual(decoded(path) != whole, cropped)

    def test_a_container_may_have_new_parameters_on_its_way(self):
        first = self.make("first.flv", *_X264, "-coder", "1").read_bytes()
        second = self.make("second.flv", *_X264, "-coder", "0", "-refs", "3", size="96x64").read_bytes()
        path = self.folder / "both.flv"
        file_header = 9 + 4
        path.write_bytes(first + second[file_header:])
        parts = decoded(self.folder / "first.flv") + decoded(self.folder / "second.flv")
        self.assertEqual(len(parts), 20)
        self.assertEqual(decoded(path), parts)

    def test_av1_that_begins_before_a_key_frame(self):
        path = self.make("whole.ivf", "-c:v", "libaom-av1", "-cpu-used", "8", "-g", "8", "-lag-in-frames", "19", frames=20)
        data = path.read_bytes()
        at = 32
        for _ in range(2):
            at += 12 + struct.unpack_from("<I", data, at)[0]
        path.write_bytes(data[:32] + data[at:])
        self.assertGreater(len(reference(path)), 8)
        self.assertEqual(decoded(path), reference(path))

    def test_a_stream_without_a_key_frame(self):
        data = self.make("whole.h264", *_X264, "-bf", "0").read_bytes()
        units = [b"\0\0\1" + unit.rstrip(b"\0") for unit in data.split(b"\0\0\1")[1:]]
        middle = b"".join(unit for unit in units if unit[3] & 31 not in (5, 6))
        path = self.folder / "middle.h264"
        path.write_bytes(middle)
        corrupt = reference(path, "-flags", "output_corrupt")
        self.assertEqual(len(corrupt), 9)
        # What the node shows as damaged is left out, and nothing is left: that is no success.
        done = subprocess.run([DAEDALUS, "decode", "--in-process", "--framemd5", "-", str(path)], capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual((done.returncode, [line for line in done.stdout.splitlines() if line[0] != "#"]), (1, []))
        self.assertIn("9 damaged frames before the first key frame were left out, and there are no others; --output-corrupt", done.stderr)
        self.assertEqual(decoded(path, "--output-corrupt"), corrupt)
        # With a key frame on its way, what is before it is left out.
        path.write_bytes(middle + data)
        self.assertEqual(len(reference(path)), 10)
        self.assertEqual(decoded(path), reference(path))
        self.assertEqual(decoded(path, "--output-corrupt"), reference(path, "-flags", "output_corrupt"))

    def test_an_ending_that_lies(self):
        path = self.make("stream.h264", *_X264)
        expected = decoded(path)
        self.assertEqual(len(expected), 10)
        # No JPEG at all.
        self.assertEqual(decoded(path.rename(self.folder / "stream.mjpg")), expected)


if __name__ == "__main__":
    cases.main()

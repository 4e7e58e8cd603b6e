"""Streams as v4l2-ctl and v4l2-compliance read them: each access unit behind its length."""

import os
import struct
import subprocess


def packets(path):
    """The access units of a file, as FFmpeg's parser or demuxer cuts them."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", str(path), "-map", "0:v:0", "-c", "copy", "-f"]
    listed = subprocess.run([*command, "framecrc", "-"], capture_output=True, text=True, check=True).stdout
    data = subprocess.run([*command, "rawvideo", "-"], capture_output=True, check=True).stdout
    found, start = [], 0
    for line in listed.splitlines():
        if not line.startswith("#"):
            length = int(line.split(",")[4])
            found.append(data[start : start + length])
            start += length
    if start != len(data):
        raise RuntimeError(f"{path}: ffmpeg lists packets of {start} bytes and writes {len(data)}")
    return found


def framed(units):
    """Units for --stream-from-hdr. The tools convert with ntohl() the four characters of "Vhdr" read as a little-endian number."""
    return b"".join(b"rdhV" + struct.pack(">I", len(unit)) + unit for unit in units)


def with_headers(path):
    """A file's units for --stream-from-hdr."""
    return framed(packets(path))


def kept_with_headers(path):
    """That file beside the stream in the cache, made when it is first asked for."""
    kept = path.with_name(path.name + ".hdr")
    if not kept.exists():
        fresh = path.with_name(f"new-{os.getpid()}-{kept.name}")
        fresh.write_bytes(with_headers(path))
        fresh.rename(kept)
    return kept


def padded(path, size):
    """An elementary stream of at least `size` bytes: with zeros before each access unit, as Annex B and MPEG-2 allow."""
    units = packets(path)
    return b"".join(bytes(size // len(units)) + unit for unit in units)

#!/usr/bin/env python3
"""A GStreamer program that seeks, plays on after the end, and gives its decoder another stream. Runs under `daedalus run`.

    gst_seek.py ELEMENT 'DEMUXER ! PARSER' FIRST_FILE SECOND_FILE

Prints a line for each frame that comes out: the step, the frame's number by its time (30 frames a second), its MD5. Started by
seeking.py, with Debian's Python, which has the bindings.
"""

import hashlib
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstApp, GstVideo  # noqa: E402, F401  (GstApp: appsink's methods)

PATIENCE_NS = 20 * Gst.SECOND
# (step, where to in seconds, how many frames to take; None: to the end)
STEPS = [("start", None, 3), ("forward", 0.5, 5), ("back", 0.2, 5), ("again", 0.2, 1), ("late", 0.7, None), ("after the end", 0, None)]
# Into a frame, not between two: a container may round the times, and GStreamer shows what overlaps the place.
INSIDE_S = 0.01


def visible(sample):
    """The planes of a frame without padding."""
    info = GstVideo.VideoInfo.new_from_caps(sample.get_caps())
    ok, frame = GstVideo.video_frame_map(info, sample.get_buffer(), Gst.MapFlags.READ)
    if not ok:
        raise SystemExit("a frame cannot be mapped")
    ok, bytes_ = sample.get_buffer().map(Gst.MapFlags.READ)
    meta = GstVideo.buffer_get_video_meta(sample.get_buffer())
    digest = hashlib.md5()
    for plane in range(3):
        width = (info.width + (plane > 0)) >> (plane > 0)
        height = (info.height + (plane > 0)) >> (plane > 0)
        start = meta.offset[plane] if meta else info.offset[plane]
        stride = meta.stride[plane] if meta else info.stride[plane]
        for row in range(height):
            digest.update(bytes_.data[start + row * stride : start + row * stride + width])
    sample.get_buffer().unmap(bytes_)
    return digest.hexdigest()


def take(pipeline, sink, step, count):
    """Prints the next frames; ends at the stream's end."""
    while count is None or count > 0:
        sample = sink.try_pull_sample(PATIENCE_NS)
        if not sample:
            error = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
            if error:
                raise SystemExit(f"{step}: {error.src.get_name()}: {': '.join(map(str, error.parse_error()))}")
            if not sink.get_property("eos"):
                raise SystemExit(f"{step}: no frame came in time")
            return
        time = sample.get_segment().to_stream_time(Gst.Format.TIME, sample.get_buffer().pts)
        print(f"{step},{round(time * 30 / Gst.SECOND)},{visible(sample)}", flush=True)
        count = count and count - 1


def main():
    Gst.init(None)
    element, way, first, second = sys.argv[1:]
    demuxer, *parser = way.split(" ! ")
    pipeline = Gst.parse_launch(
        f"filesrc name=source ! {demuxer} name=demuxer identity name=behind ! {' ! '.join([*parser, element])}"
        " ! videoconvert ! video/x-raw,format=I420 ! appsink name=sink sync=false")
    # A demuxer has its pads anew for each file.
    behind = pipeline.get_by_name("behind").get_static_pad("sink")
    pipeline.get_by_name("demuxer").connect("pad-added", lambda _, pad: pad.link(behind))
    source, sink = pipeline.get_by_name("source"), pipeline.get_by_name("sink")
    source.set_property("location", first)
    pipeline.set_state(Gst.State.PLAYING)
    for step, place, count in STEPS:
        if place is not None:
            flags = Gst.SeekFlags.FLUSH | Gst.SeekFlags.ACCURATE
            if not pipeline.seek_simple(Gst.Format.TIME, flags, int((place + (INSIDE_S if place else 0)) * Gst.SECOND)):
                raise SystemExit(f"{step}: the pipeline refuses to seek")
        take(pipeline, sink, step, count)
    # The same element, another stream, of another size.
    pipeline.set_state(Gst.State.NULL)
    source.set_property("location", second)
    pipeline.set_state(Gst.State.PLAYING)
    take(pipeline, sink, "switch", None)
    pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    main()

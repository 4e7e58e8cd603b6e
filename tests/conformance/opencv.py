#!/usr/bin/env python3
"""OpenCV reads a clip of each codec by the node's decoder: all frames, equal to those of FFmpeg's own decoder.

    opencv.py --daedalus PROGRAM --preload LIBRARY --cache FOLDER
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import decoder, playing, reference, streams  # noqa: E402

# codec -> GStreamer's way from the file of playing.CLIPS to the decoder's frames.
PIPELINES = {
    "h264": "qtdemux ! h264parse ! v4l2h264dec", "hevc": "matroskademux ! h265parse ! v4l2h265dec",
    "vp8": "matroskademux ! v4l2vp8dec", "vp9": "matroskademux ! vp9parse ! v4l2vp9dec",
    "mpeg2": "tsdemux ! mpegvideoparse ! v4l2mpeg2dec", "mpeg4": "avidemux ! mpeg4videoparse ! v4l2mpeg4dec",
    "h263": "qtdemux ! h263parse ! v4l2h263dec",
}
PYTHON = "/usr/bin/python3"


def videos(cache):
    """What OpenCV is to read, as opencv_frames.py takes it, three for each codec: FFmpeg's own decoder, the node's, a pipeline."""
    for codec, clip in playing.CLIPS.items():
        path = str(streams.provide(streams.BY_NAME[clip], cache).resolve())
        yield from [("own", path), (f"{codec}_v4l2m2m", path)]
        # FFmpeg's colours and GStreamer's differ; planes do not.
        yield f"filesrc location={path} ! {PIPELINES[codec]} ! videoconvert ! video/x-raw,format=I420 ! appsink sync=false", "-"


def read(under_test, pairs):
    """The MD5s of each video's frames, and the outcome of the one program that read them all."""
    program = pathlib.Path(__file__).resolve().with_name("opencv_frames.py")
    command = ["run", "--lenient-poll", "--", PYTHON, "-B", program, *(word for pair in pairs for word in pair)]
    outcome = under_test.execute([under_test.program, "--log", "info,ioctl", *command], timeout=200)
    found = [[] for _ in pairs]
    for line in outcome.output.decode().splitlines():
        number, md5 = line.split(",")
        found[int(number)].append(md5)
    return found, outcome


def main():
    options = decoder.arguments(__doc__).parse_args()
    under_test = decoder.Decoder(options.daedalus, options.preload)
    found, outcome = read(under_test, list(videos(options.cache)))
    failed, expected = 0, 0
    for number, clip in enumerate(playing.CLIPS.values()):
        stream = streams.BY_NAME[clip]
        own, by_ffmpeg, by_gstreamer = found[3 * number : 3 * number + 3]
        planes = reference.of_stream(stream, options.cache, "YU12")
        expected += 2 * len(planes)
        own = own if len(own) == len(planes) else ["a frame that OpenCV did not read"] * len(planes)
        for backend, wrong in {"FFmpeg": reference.difference(own, by_ffmpeg), "GStreamer": reference.difference(planes, by_gstreamer)}.items():
            failed += wrong is not None
            print(f"{'FAIL' if wrong else 'ok  '} OpenCV by {backend}, {clip}: {wrong or 'all frames equal'}", flush=True)
    # They did come from the node.
    taken = playing.frames_taken(outcome.errors)
    if outcome.status != 0 or taken != expected:
        said = " / ".join(playing.without_calls(outcome.errors))[-600:]
        print(f"FAIL status {outcome.status}, {taken} frames taken from the node, expected {expected}; {said}")
        failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

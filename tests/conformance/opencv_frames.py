#!/usr/bin/env python3
"""An OpenCV program that reads videos to their end. Runs under `daedalus run`.

    opencv_frames.py {DECODER FILE | PIPELINE -}...

Prints a line for each frame: the number of the pair, the MD5 of the pixels. DECODER is libavcodec's name of one, for OpenCV's FFmpeg
backend, or "own"; a PIPELINE is for its GStreamer backend. Started by opencv.py, with Debian's Python, which has OpenCV.
"""

import hashlib
import os
import sys

import cv2


def opened(what, path):
    if path == "-":
        return cv2.VideoCapture(what, cv2.CAP_GSTREAMER)
    # OpenCV's one way to choose the decoder; it reads the variable with each file.
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "threads;1" if what == "own" else f"video_codec;{what}"
    return cv2.VideoCapture(path, cv2.CAP_FFMPEG)


def main():
    words = sys.argv[1:]
    for number, (what, path) in enumerate(zip(words[::2], words[1::2])):
        capture = opened(what, path)
        if not capture.isOpened():
            raise SystemExit(f"{what} {path}: OpenCV does not open it")
        while True:
            more, frame = capture.read()
            if not more:
                break
            print(f"{number},{hashlib.md5(frame.tobytes()).hexdigest()}", flush=True)
        capture.release()


if __name__ == "__main__":
    main()

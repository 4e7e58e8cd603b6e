#!/usr/bin/env python3
"""Fluster's command line with two decoders more, which Debian 12's version lacks and later ones have. Arguments: fluster's."""

import sys

from fluster.codec import Codec
from fluster.decoder import register_decoder
from fluster.decoders.ffmpeg import FFmpegDecoder
from fluster.decoders.gstreamer import GStreamer10Video
from fluster.main import fluster_main


@register_decoder
class FFmpegH265V4L2m2mDecoder(FFmpegDecoder):
    """FFmpeg's V4L2 mem2mem decoder for H.265"""

    codec = Codec.H265
    hw_acceleration = True
    api = "hevc_v4l2m2m"
    wrapper = True


@register_decoder
class GStreamerV4l2VP9Gst10Decoder(GStreamer10Video):
    """GStreamer's stateful V4L2 decoder for VP9"""

    codec = Codec.VP9
    check_decoder_bin = " v4l2vp9dec "
    decoder_bin = f" parsebin ! {check_decoder_bin}"
    api = "V4L2"
    hw_acceleration = True


if __name__ == "__main__":
    sys.exit(fluster_main())

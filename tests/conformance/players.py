#!/usr/bin/env python3
"""Players play a clip of each codec to its end, on a display that nobody sees, by the node's decoder.

    players.py --daedalus PROGRAM --preload LIBRARY --cache FOLDER {ffplay|mpv|playbin}
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import decoder, playing, streams  # noqa: E402

_DROPPED = re.compile(r"fd= *(\d+)")


def play(under_test, command, stream):
    """What went wrong, or "", and the daemon's log with what the player said: the player ends by itself, with all frames taken."""
    outcome = under_test.execute([under_test.program, "--log", "info,ioctl", "run", *command], timeout=60)
    taken = playing.frames_taken(outcome.errors)
    if outcome.status == 0 and taken == stream.frames:
        return "", outcome
    said = " / ".join(playing.without_calls(outcome.errors))[-400:]
    return f"status {outcome.status}, took {taken} frames of {stream.frames}; {said}", outcome


def ffplay(under_test, codec, stream, path):
    """Its statistics tell what it did not show."""
    command = ["--", "ffplay", "-v", "info", "-stats", "-an", "-autoexit", "-vcodec", f"{codec}_v4l2m2m", path]
    wrong, outcome = play(under_test, command, stream)
    dropped = _DROPPED.findall(outcome.errors)
    if not wrong and (not dropped or int(dropped[-1]) >= stream.frames):
        wrong = f"of {stream.frames} frames it dropped {dropped[-1:]}"
    yield f"-vcodec {codec}_v4l2m2m", wrong


def mpv(under_test, codec, stream, path):
    """By its two ways to a V4L2 decoder. Without --lenient-poll its libavcodec would crash."""
    for way in (f"--vd={codec}_v4l2m2m", "--hwdec=v4l2m2m-copy"):
        # By itself it uses hardware for the commonest codecs only.
        command = ["--lenient-poll", "--", "mpv", "--no-config", "--vo=x11", "--ao=null", "--untimed", "--hwdec-codecs=all", way, path]
        wrong, outcome = play(under_test, command, stream)
        if not wrong and "End of file" not in outcome.output.decode(errors="replace"):
            wrong = "it does not say that it came to the file's end"
        yield way, wrong


def playbin(under_test, _codec, stream, path):
    """What GNOME's players are made of: it chooses demuxer, parser and decoder by itself."""
    sinks = ["video-sink=fakesink", "audio-sink=fakesink"]
    wrong, _ = play(under_test, ["--", "gst-launch-1.0", "-q", "playbin", f"uri={path.as_uri()}", *sinks], stream)
    yield "uri", wrong


PLAYERS = {"ffplay": ffplay, "mpv": mpv, "playbin": playbin}


def main():
    parser = decoder.arguments(__doc__)
    parser.add_argument("player", choices=PLAYERS)
    options = parser.parse_args()
    under_test = decoder.Decoder(options.daedalus, options.preload)
    failed = 0
    with playing.display() as name:
        under_test.environment.update(DISPLAY=name, SDL_VIDEODRIVER="x11", SDL_AUDIODRIVER="dummy")
        for codec, clip in playing.CLIPS.items():
            stream = streams.BY_NAME[clip]
            path = streams.provide(stream, options.cache.resolve())
            for way, wrong in PLAYERS[options.player](under_test, codec, stream, path):
                failed += bool(wrong)
                print(f"{'FAIL' if wrong else 'ok  '} {options.player} {way} {clip}: {wrong or f'{stream.frames} frames'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""The scenario by which v4l-utils tests the kernel's vicodec driver, with the node's codecs in its place.

    media_scenario.py --daedalus PROGRAM --preload LIBRARY --cache FOLDER

v4l2-ctl decodes streams whose size changes with every frame and with every other frame; v4l2-compliance runs before and after;
the daemon dies under clients that stream and that only hold the node open, and another one serves the next.
"""

import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import ctl  # noqa: E402
from daedalus_tests import compliance, decoder, punctuality, reference, streams, units  # noqa: E402

# Codecs whose first units give their frames in order: codec -> (V4L2's name of it, a small stream, a large one)
MIXED = {
    "vp8": ("VP80", "vp8_small.ivf", "vp8_large.ivf"), "vp9": ("VP90", "vp9_small.ivf", "vp9_large.ivf"),
    "av1": ("AV01", "av1_small.ivf", "av1_large.ivf"), "h263": ("H263", "h263_small.h263", "h263_large.h263"),
}
RUNS = 4
DEVIATIONS = pathlib.Path(__file__).resolve().parents[2] / "docs/deviations.md"


def mixed(under_test, cache, codec, frames, times):
    """A file of the first `frames` of both streams in turn, and (width, height), MD5 of each of its frames."""
    _, *names = MIXED[codec]
    parts = [streams.BY_NAME[name] for name in names]
    data = b"".join(
        units.framed(units.packets(streams.provide(part, cache))[:frames]) for part in parts)
    expected = [
        (size, md5) for part in parts
        for size, md5 in list(zip(ctl.frame_sizes(part), reference.of_stream(part, cache, "YU12")))[:frames]]
    path = under_test.scratch.path / f"{codec}.mix.{frames}"
    path.write_bytes(data * times)
    return path, expected * times


def decodes_mixed(under_test, run, cache, codec, frames, times):
    """None, or what was wrong."""
    path, expected = mixed(under_test, cache, codec, frames, times)
    sizes, md5s = [size for size, _ in expected], [md5 for _, md5 in expected]
    for _ in range(RUNS):
        with punctuality.Punctuality() as machine:
            data, outcome = ctl.decode(
                under_test, run, streams.BY_NAME[MIXED[codec][1]], MIXED[codec][0], "mmap", f"--stream-from-hdr {path}")
        wrong = reference.difference(md5s, ctl.frames_of(data, sizes))
        if not wrong or machine.is_punctual():
            break
    return wrong and f"{wrong}; {outcome.excerpt()}"


def complies(run):
    """None, or that v4l2-compliance found something, which is printed."""
    for _ in range(RUNS):
        with punctuality.Punctuality() as machine:
            outcome = run("sh", "-c", 'exec v4l2-compliance -d "$DAEDALUS_NODE"', timeout=120)
        if compliance.judge(outcome, compliance.excuses(DEVIATIONS)):
            return None
        if machine.is_punctual():
            break
    return "see above"


def survives_the_daemon(under_test, cache):
    """Clients of a daemon that is killed must end with an error, not wait; one that holds the node only must end when it likes."""
    path = under_test.scratch.path / "loop.hdr"
    path.write_bytes(units.with_headers(streams.provide(streams.BY_NAME["vp8.ivf"], cache)))
    stream = (f'exec v4l2-ctl -d "$DAEDALUS_NODE" -x pixelformat=VP80,width=320,height=240 --stream-mmap --stream-out-mmap'
              f" --stream-loop --stream-from-hdr {path} --stream-to /dev/null")
    server = decoder.Server(under_test)
    server.__enter__()
    clients = []
    for script in (stream, stream, 'exec sleep 2 <"$DAEDALUS_NODE"'):
        command = [under_test.program, "run", "--attach", server.socket, "--", "sh", "-c", script]
        clients.append(subprocess.Popen(
            list(map(str, command)), env=under_test.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True))
    time.sleep(1)
    early = [client.poll() for client in clients]
    server.process.kill()
    server.process.wait()
    late = []
    for client in clients:
        try:
            late.append(client.wait(30))
        except subprocess.TimeoutExpired:
            client.kill()
            late.append("still waiting after 30 s")
    server.socket.unlink(missing_ok=True)
    if early != [None] * 3:
        return f"a client ended before the daemon did: {early}"
    hung = [status for status in late if isinstance(status, str)]
    return hung and f"clients of a dead daemon: {hung}" or None


def main():
    parser = decoder.arguments(__doc__)
    options = parser.parse_args()
    under_test = decoder.Decoder(options.daedalus, options.preload)
    failed = 0

    def told(what, wrong):
        nonlocal failed
        failed += bool(wrong)
        print(f"{'FAIL' if wrong else 'ok  '} {what}{': ' + wrong if wrong else ''}", flush=True)

    def round_of(name, codecs):
        with decoder.Server(under_test) as server:
            told(f"{name}: v4l2-compliance before", complies(server.run))
            for codec in codecs:
                for frames, times, often in ((1, 12, "every frame"), (2, 6, "every other frame")):
                    wrong = decodes_mixed(under_test, server.run, options.cache, codec, frames, times)
                    told(f"{name}: {codec} changes its size with {often}", wrong)
            told(f"{name}: v4l2-compliance after", complies(server.run))

    round_of("first daemon", MIXED)
    told("the daemon is killed under its clients", survives_the_daemon(under_test, options.cache))
    round_of("another daemon", ["vp8"])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Runs Fluster under `daedalus run` on the streams at hand: V4L2 decoders must pass what FFmpeg's own decoders pass.

    run_fluster.py --daedalus PROGRAM --preload LIBRARY --cache FOLDER --docs docs/conformance.md [--codec CODEC]... [--write]

DAEDALUS_VECTORS adds streams of others to the synthetic ones. With them, and with all codecs, what the document tells of the
results must be what was measured; --write makes it so.
"""

import csv
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import fluster_suites  # noqa: E402
from daedalus_tests import decoder, streams  # noqa: E402

# Fluster is a package of Debian's Python, whatever other the caller's PATH has.
PYTHON = "/usr/bin/python3"
MORE = pathlib.Path(__file__).resolve().with_name("fluster_more.py")
TIMEOUT_S = "60"

# (client, part of a stream's name) -> why its failure is not the node's.
EXCUSED = {
    ("FFmpeg-V4L2", "_cut_"): "shows the empty buffers by which damage is told as frames",
    ("GStreamer-V4L2", "hevc_cut"): "does not get the pictures before the first IDR from h265parse; its own avdec_h265 neither",
}


def decoders(codec):
    """Fluster's names of the decoders, by client."""
    name = fluster_suites.CODECS[codec][0]
    return {
        "FFmpeg": f"FFmpeg-{name}",
        "FFmpeg-V4L2": f"FFmpeg-{name}-{codec}_v4l2m2m",
        "GStreamer-V4L2": f"GStreamer-{name}-V4L2-Gst1.0",
    }


def results_of(path, suite, names):
    """{stream: {client: result}} of Fluster's CSV file: a row of suites, one of decoders, one of titles, then two cells a decoder."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    found = {}
    for client, name in names.items():
        # Debian 12's version cuts the last letter off.
        column = next((i for i, title in enumerate(rows[1]) if title in (name, name[:-1])), None)
        if column is None:
            raise SystemExit(f"{suite}: Fluster has not run {name}: see its output above")
        for row in rows[3:]:
            found.setdefault(row[column], {})[client] = row[column + 1]
    return found


def run_suite(under_test, folder, codec, suite, without):
    """Runs Fluster with a suite and the codec's decoders, but that of the client `without`."""
    names = {client: name for client, name in decoders(codec).items() if client != without}
    written = under_test.writable(f"{suite}.csv")
    outcome = under_test.run(
        PYTHON, "-B", MORE, "-ne", "-tsd", folder / "suites", "-r", folder / "resources", "-o", folder / "results",
        "run", "-j", "2", "-t", TIMEOUT_S, "-ts", suite, "-d", *names.values(), "-f", "csv", "-so", written, timeout=240)
    if not written.exists():
        raise SystemExit(f"{suite}: {outcome.excerpt()}\n{outcome.output.decode(errors='replace')[-2000:]}")
    return results_of(written, suite, names)


def why_not(stream, client, by_client):
    """Why a failure is not the node's, or None."""
    # FFmpeg's command line scales all frames to the size of the first.
    if by_client["FFmpeg"] != "Success" and "change" not in stream:
        return "FFmpeg's own decoder fails too"
    return next((why for (who, part), why in EXCUSED.items() if who == client and part in stream), None)


def judge(suite, results):
    """Prints what failed; returns how many failures are the node's."""
    failed = 0
    for stream, by_client in sorted(results.items()):
        for client in ("FFmpeg-V4L2", "GStreamer-V4L2"):
            if by_client.get(client, "Success") == "Success":
                continue
            why = why_not(stream, client, by_client)
            failed += why is None
            print(f"{'as is' if why else 'FAIL '} {suite} {stream}: {client}: {by_client[client]}{'; ' + why if why else ''}")
    for client in next(iter(results.values())):
        passed = sum(by_client[client] == "Success" for by_client in results.values())
        print(f"{suite}: {client} passes {passed} of {len(results)}", flush=True)
    return failed


def document(everything):
    """The part of the document that the results make."""
    clients = ("FFmpeg", "FFmpeg-V4L2", "GStreamer-V4L2")
    lines = ["| suite | streams | " + " | ".join(clients) + " |", "|---|---|" + "---|" * len(clients)]
    failures = []
    for suite, results in everything.items():
        cells = []
        for client in clients:
            got = [by_client[client] for by_client in results.values() if client in by_client]
            cells.append(str(got.count("Success")) if got else "-")
        lines.append(f"| {suite} | {len(results)} | " + " | ".join(cells) + " |")
        for stream, by_client in sorted(results.items()):
            for client in clients[1:]:
                if by_client.get(client, "Success") != "Success":
                    failures.append(f"| {stream} | {client} | {why_not(stream, client, by_client)} |")
    return "\n".join([*lines, "", "| stream that fails | with | because |", "|---|---|---|", *failures])


def check_document(path, everything, write):
    """Writes the results into the document, or compares them with it; False if they differ."""
    before, rest = path.read_text(encoding="utf-8").split("<!-- measured -->\n", 1)
    told, after = rest.split("\n<!-- end -->", 1)
    measured = document(everything)
    if write:
        path.write_text(f"{before}<!-- measured -->\n{measured}\n<!-- end -->{after}", encoding="utf-8")
    elif told != measured:
        print(f"{path.name} tells something else; run this test's command with --write. Measured:\n{measured}")
        return False
    return True


def main():
    parser = decoder.arguments(__doc__)
    parser.add_argument("--codec", action="append", choices=list(fluster_suites.CODECS))
    parser.add_argument("--docs", type=pathlib.Path)
    parser.add_argument("--write", action="store_true", help="write the results into the document")
    options = parser.parse_args()
    if not pathlib.Path("/usr/bin/fluster").exists():
        print("skipped: no Fluster: apt-get install fluster")
        return streams.SKIP

    under_test = decoder.Decoder(options.daedalus, options.preload)
    failed, everything = 0, {}
    for codec in options.codec or fluster_suites.CODECS:
        folder = under_test.scratch.path / codec
        folder.mkdir()
        for suite, without in fluster_suites.build(folder, options.cache, os.environ.get("DAEDALUS_VECTORS", ""), codec):
            everything[suite] = run_suite(under_test, folder, codec, suite, without)
            failed += judge(suite, everything[suite])
    if options.docs and not options.codec and os.environ.get("DAEDALUS_VECTORS"):
        failed += not check_document(options.docs, everything, options.write)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

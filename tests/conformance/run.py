#!/usr/bin/env python3
"""Decodes streams through `daedalus run -- daedalus decode` and compares every frame with FFmpeg's own decoding.

    run.py --daedalus PROGRAM --cache FOLDER {synthetic|formats|vectors} [--codec CODEC]... [--memory MEMORY] ...
"""

import concurrent.futures
import csv
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import decoder, measured, raw_formats, reference, streams  # noqa: E402


class Job:
    """One decode and what it must give; without a `fourcc` in the format that the client takes when it has no wish, compared
    in FFmpeg's own order of planes."""

    def __init__(self, codec, label, path, fourcc, expected):
        self.codec, self.label, self.path, self.fourcc, self.expected = codec, label, path, fourcc, expected

    def verdict(self, run, under_test, how):
        """None, or what went wrong; `how` are options of the decode tool."""
        how = [*how, "--capture", self.fourcc] if self.fourcc else how
        outcome = run(*under_test.decode_command(under_test.readable(self.path), *how))
        wrong = reference.difference(self.expected, reference.parse_framemd5(outcome.output.decode(errors="replace")))
        if wrong or outcome.status != 0:
            return f"{wrong or 'frames equal'}; {outcome.excerpt()}"
        return None


# Of the vectors, those that a slow machine takes: so many pixels in all frames, and at least the smallest of each codec.
FEW_PIXELS = 510_000


def pixels_in_all(size, frames):
    """How many pixels so many frames of WIDTHxHEIGHT have."""
    width, height = map(int, size.split("x"))
    return width * height * int(frames)


def smallest_of_each(candidates, codec, pixels):
    """The candidates with the fewest pixels, one for each codec; two functions tell either of them."""
    return list({codec(each): each for each in sorted(candidates, key=pixels, reverse=True)}.values())


def synthetic_jobs(options):
    chosen = [each for each in streams.STREAMS if each.codec in options.codec and not each.rare]
    if options.short or options.smallest:
        chosen = [each for each in chosen if not each.is_long]
    if options.smallest:
        chosen = smallest_of_each(chosen, lambda each: each.codec, lambda each: pixels_in_all(each.size, each.frames))
    for stream in chosen:
        path = streams.provide(stream, options.cache)
        yield Job(stream.codec, stream.name, path, None, reference.of_stream(stream, options.cache))


def format_jobs(options):
    """Every pixel layout of every codec, and each layout once in every CAPTURE format that takes it."""
    seen = set()
    for codec in options.codec:
        fitting = [s for s in streams.STREAMS if s.codec == codec and not s.changes_size and not s.cut]
        # One of each layout, and one of a size that needs padding.
        chosen = {each.decoded: each for each in fitting}
        unaligned = [s for s in fitting if "unaligned" in s.name or "odd" in s.name]
        for each in [*unaligned[:1], *chosen.values()]:
            path = streams.provide(each, options.cache)
            yield Job(codec, f"{each.name} ({each.decoded})", path, None, reference.of_stream(each, options.cache))
            if (each.decoded, each.size) in seen:
                continue
            seen.add((each.decoded, each.size))
            fourccs = [*raw_formats.exact(each.decoded), *raw_formats.reduced(each.decoded)]
            for fourcc, expected in reference.of_formats(each, options.cache, fourccs).items():
                yield Job(codec, f"{each.name} as {fourcc}", path, fourcc, expected)


def vector_jobs(options):
    folder = pathlib.Path(options.vectors)
    with open(folder / "manifest.tsv", encoding="utf-8", newline="") as manifest:
        rows = [row for row in csv.DictReader(manifest, delimiter="\t") if row["codec"] in options.codec]
    if options.short:
        pixels = {row["file"]: pixels_in_all(row["size"], row["frames"]) for row in rows}
        few = smallest_of_each(rows, lambda row: row["codec"], lambda row: pixels[row["file"]])
        few += [row for row in rows if pixels[row["file"]] <= FEW_PIXELS]
        rows = [row for row in rows if row in few]
    for row in rows:
        path = folder / row["file"]
        framemd5 = path.with_name(path.name + ".framemd5").read_text(encoding="utf-8")
        yield Job(row["codec"], row["file"], path, None, reference.parse_framemd5(framemd5))


def run_all(jobs, under_test, options):
    """Runs the jobs and returns how many failed."""

    def decode_all(run, *how):
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            verdicts = pool.map(lambda job: job.verdict(run, under_test, how), jobs)
            failed = frames = 0
            cells, transport = measured.Cells(), "I" if options.in_process else measured.cuse_letter() if options.cuse else "R"
            memory = "" if options.in_process else options.memory
            for job, verdict in zip(jobs, verdicts):
                failed += verdict is not None
                frames += len(job.expected)
                cells.add((job.codec, "daedalus decode", memory, transport), verdict is None)
                print(f"{'FAIL' if verdict else 'ok  '} {job.label}{': ' + verdict if verdict else ''}", flush=True)
        measured.note(cells)
        print(f"{len(jobs)} streams, {frames} frames, {failed} streams failed")
        return failed

    threads = ["--threads", str(options.threads)]
    if options.thread_type:
        threads += ["--thread-type", options.thread_type]
    if options.in_process:
        return decode_all(lambda *command: under_test.execute(command), "--in-process", *threads)
    if options.cuse:
        with decoder.Device(under_test, options.cuse, *threads) as device:
            return decode_all(device.run, "--device", device.node, "--memory", options.memory)
    if options.private:
        return decode_all(lambda *command: under_test.run(*command, options=threads), "--memory", options.memory)
    with decoder.Server(under_test, *threads) as serving:
        return decode_all(serving.run, "--memory", options.memory)


def main():
    parser = decoder.arguments(__doc__)
    parser.add_argument("kind", choices=["synthetic", "formats", "vectors"])
    parser.add_argument("--codec", action="append", choices=streams.CODECS)
    parser.add_argument("--memory", default="mmap", choices=["mmap", "userptr", "dmabuf"])
    parser.add_argument("--in-process", action="store_true")
    parser.add_argument("--private", action="store_true", help="a decoder for each client instead of one for all")
    parser.add_argument("--cuse", default="", metavar="videoN", help="a character device of that name; in a VM")
    parser.add_argument("--prepare", action="store_true", help="only make the streams and their MD5s, if they are not there")
    parser.add_argument("--short", action="store_true", help="a small set: every format, few frames; of the vectors about half")
    parser.add_argument("--smallest", action="store_true", help="of the synthetic streams only the smallest of each codec")
    # One: frame threads are not deterministic on damaged streams.
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--thread-type", default="")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--nobody", action="store_true")
    parser.add_argument("--seccomp", default="")
    options = parser.parse_args()
    options.codec = options.codec or list(streams.CODECS)
    options.vectors = os.environ.get("DAEDALUS_VECTORS", "")
    if options.kind == "vectors" and not options.vectors:
        print("no vectors: set DAEDALUS_VECTORS to a folder with a manifest.tsv")
        return 1
    makers = {"synthetic": synthetic_jobs, "formats": format_jobs, "vectors": vector_jobs}
    jobs = list(makers[options.kind](options))
    if options.prepare:
        return 0
    under_test = decoder.Decoder(options.daedalus, options.preload, options.nobody, options.seccomp, options.planes)
    return 1 if run_all(jobs, under_test, options) or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())

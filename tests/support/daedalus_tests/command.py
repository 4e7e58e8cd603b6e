"""The daedalus command, as its tests run it: the first two arguments are DAEDALUS and PRELOAD_LIBRARY."""

import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

DAEDALUS = pathlib.Path(sys.argv[1]).resolve()
PRELOAD = pathlib.Path(sys.argv[2]).resolve()


def environment(**changes):
    """The caller's, without what a surrounding `run` left in it. A change to None removes the variable."""
    result = {key: value for key, value in os.environ.items() if not key.startswith("DAEDALUS_")}
    result["DAEDALUS_PRELOAD"] = str(PRELOAD)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def daedalus(*words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, before=None, **changes):
    """Runs it to its end. `before` is called in the new process, as for Popen."""
    return subprocess.run([DAEDALUS, *words], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60,
                          env=environment(**changes), preexec_fn=before, check=False)


def ivf(fourcc, *frames, time_base=(25, 1)):
    """An IVF file's bytes."""
    header = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, fourcc, 64, 64, *time_base, len(frames), 0)
    return header + b"".join(struct.pack("<IQ", len(frame), i) + frame for i, frame in enumerate(frames))


class InFolder(unittest.TestCase):
    """Tests with a folder of their own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="daedalus-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, name, content, mode=0o644):
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(mode)
        return str(path)

    def refused(self, status, *said, words, **how):
        """`words` must fail with `status`, with all of `said` on stderr and nothing on stdout."""
        done = daedalus(*words, **how)
        self.assertEqual(done.returncode, status, done.stderr)
        for text in said:
            self.assertIn(text, done.stderr)
        self.assertFalse(done.stdout)
        return done.stderr

"""What the tests have measured, for the table in README.md: a file for each run of a test in the folder $DAEDALUS_MEASURED."""

import json
import os
import pathlib

# Letter -> transport, in the table's order.
TRANSPORTS = {"R": "socket, `daedalus run`", "I": "in process", "C": "CUSE", "S": "CUSE with daedalus-shim"}


def cuse_letter():
    """The letter of a CUSE device of this machine."""
    return "S" if os.path.exists("/dev/daedalus-shim") else "C"


def note(cells):
    """Keeps `cells`: {(codec, client, memory, transport's letter): whether all frames of all streams were right}."""
    folder = os.environ.get("DAEDALUS_MEASURED")
    if not folder or not cells:
        return
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    name = "-".join(sorted({"+".join(key[1:]) for key in cells}))[:100].replace("/", "_").replace(" ", "_")
    lines = [[*key, good] for key, good in sorted(cells.items())]
    codecs = "-".join(sorted({key[0] for key in cells})) if len({key[0] for key in cells}) == 1 else "all"
    pathlib.Path(folder, f"{name}-{codecs}.json").write_text(json.dumps(lines), encoding="utf-8")


class Cells(dict):
    """Cells that are bad once one of their streams is."""

    def add(self, key, good):
        self[key] = self.get(key, True) and good


def read(folder):
    """All cells that were kept."""
    cells = Cells()
    for path in sorted(pathlib.Path(folder).glob("*.json")):
        for *key, good in json.loads(path.read_text(encoding="utf-8")):
            cells.add(tuple(key), good)
    return cells

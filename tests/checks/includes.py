#!/usr/bin/env python3
"""Fails when an include points the wrong way between modules (docs/architecture.md has the picture).

Modules are the folders of src/ and include/daedalus/; a transport is a module of its own. Each may include the public
headers of the modules listed for it, its own private headers, and nobody else's. Some libraries belong to one module.
"""

import pathlib
import re
import sys
import tempfile

import tree

_FLOOR = ["base", "v4l2"]
_TO_QUEUE = _FLOOR + ["memory", "queue"]
_TO_DEVICE = _TO_QUEUE + ["codec", "m2m", "media", "device"]
_TO_IOCTL = _TO_DEVICE + ["ioctl"]

# module -> the modules whose public headers it may include. "proto" is what programs share over a wire.
MAY_USE = {
    "proto": [],
    "preload": ["proto"],
    "base": [],
    "v4l2": ["base"],
    "memory": _FLOOR,
    "queue": _FLOOR + ["memory"],
    "codec": _FLOOR + ["memory"],
    "media": _TO_QUEUE,
    "m2m": _TO_QUEUE + ["codec", "media"],
    "device": _TO_QUEUE + ["codec", "m2m", "media", "proto"],
    "ioctl": _TO_DEVICE + ["proto"],
    "transport": _TO_IOCTL + ["proto"],
    "transport/cuse": _TO_IOCTL + ["proto", "transport"],
    "transport/socket": _TO_IOCTL + ["proto", "transport"],
    "transport/notify": _TO_IOCTL + ["proto", "transport"],
    "transport/inproc": _TO_IOCTL + ["proto", "transport"],
    "daemon": _TO_IOCTL + ["proto", "transport", "transport/cuse", "transport/socket", "transport/inproc", "transport/notify"],
    "tools": _FLOOR + ["proto", "ioctl", "device", "transport/inproc", "transport/socket", "daemon"],
    "main": _FLOOR + ["device", "daemon", "tools"],
}

# A library's headers -> the folders of src/ that may include them.
LIBRARIES = [
    (r"libav\w+/|libswscale/", ["codec/ffmpeg", "tools"]),
    (r"libyuv", ["codec/ffmpeg"]),
    (r"fuse|cuse_lowlevel", ["transport/cuse"]),
    (r"uv\.h", ["base"]),
    (r"systemd/", ["daemon"]),
    (r"CLI/", ["main", "tools", "daemon"]),
]

_INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def module_of(path):
    """The module of a file given relative to the root, or None where the rules do not reach."""
    parts = path.parts
    if parts[0] == "proto":
        return "proto"
    if parts[:2] == ("include", "daedalus"):
        parts = parts[2:]
        if parts[0] == "transport":
            return "transport/" + pathlib.Path(parts[1]).stem
    elif parts[0] == "src":
        parts = parts[1:]
        if len(parts) == 1:
            return "main"
        if parts[0] == "transport":
            return "transport/" + parts[1] if len(parts) > 2 else "transport"
    else:
        return None
    return parts[0]


def _allowed_library(path, header):
    for pattern, folders in LIBRARIES:
        if re.match(pattern, header):
            inside = path.relative_to("src").as_posix() if path.parts[0] == "src" else ""
            if not any(inside.startswith(folder + "/") or (folder == "main" and "/" not in inside) for folder in folders if inside):
                return "only " + ", ".join("src/" + folder for folder in folders) + " may include it"
    return None


def _judge(root, path, header):
    """What is wrong with one include, or None."""
    complaint = _allowed_library(path, header)
    if complaint:
        return complaint
    here = module_of(path)
    if header.startswith("daedalus/"):
        target = pathlib.Path("include") / header
        if not (root / target).is_file():
            return "no such public header"
    elif header.startswith("proto/"):
        target = pathlib.Path(header)
    else:
        near = (root / path).parent / header
        target = next((p for p in (near, root / header) if p.is_file()), None)
        if target is None:
            return None  # a system or library header, or one that the build generates
        target = target.resolve().relative_to(root)
        there = module_of(target)
        if path.parts[0] != "src" and path.parts[0] != "proto":
            return "a public header may not include a private one"
        if there != here and not (there == "transport" and here.startswith("transport/")):
            return f"a private header of {there}; publish it in include/daedalus/{there} or move it"
        return None
    there = module_of(target)
    if there == here or there in MAY_USE.get(here, []):
        return None
    if here not in MAY_USE:
        return f"module {here} is unknown to this check: add it to MAY_USE"
    return f"{here} may not use {there} (it may use: {', '.join(MAY_USE[here]) or 'nothing'})"


def check(root):
    """All complaints about the tree at `root`, as printable lines, and the number of includes seen."""
    complaints = []
    seen = 0
    for folder in ("src", "include/daedalus", "proto"):
        for absolute in sorted((root / folder).rglob("*")):
            if absolute.suffix not in (".cpp", ".h"):
                continue
            path = absolute.relative_to(root)
            for number, line in enumerate(absolute.read_text(encoding="utf-8").splitlines(), 1):
                match = _INCLUDE.match(line)
                if not match:
                    continue
                seen += 1
                complaint = _judge(root, path, match.group(2))
                if complaint:
                    complaints.append(f"{path}:{number}: {match.group(2)}: {complaint}")
    return complaints, seen


def _self_test():
    """Each bad example must be found, each good one must pass."""
    good = {
        "include/daedalus/queue/queue.h": '#include "daedalus/base/log.h"\n#include <vector>\n',
        "include/daedalus/base/log.h": "#include <string>\n",
        "include/daedalus/codec/decoder.h": "",
        "include/daedalus/transport/inproc.h": "",
        "proto/wire.h": "#include <cstdint>\n",
        "src/queue/private.h": "",
        "src/queue/queue.cpp": '#include "daedalus/queue/queue.h"\n#include "private.h"\n',
        "src/codec/ffmpeg/decoder.cpp": "#include <libavcodec/avcodec.h>\n#include <libyuv.h>\n",
        "src/tools/decode.cpp": '#include <libavformat/avformat.h>\n#include "daedalus/transport/inproc.h"\n',
        "src/preload/open.cpp": '#include "proto/wire.h"\n',
        "src/transport/common.h": "",
        "src/transport/socket/server.cpp": '#include "../common.h"\n#include "proto/wire.h"\n',
        "src/main.cpp": '#include <CLI/CLI.hpp>\n',
    }
    bad = {
        "src/base/log.cpp": '#include "daedalus/queue/queue.h"\n',
        "include/daedalus/memory/memory.h": '#include "daedalus/codec/decoder.h"\n',
        "src/queue/codec.cpp": '#include "daedalus/codec/decoder.h"\n',
        "src/codec/queue.cpp": '#include "daedalus/queue/queue.h"\n',
        "src/codec/thief.cpp": '#include "../queue/private.h"\n',
        "src/m2m/thief.cpp": '#include "src/queue/private.h"\n',
        "src/device/decode.cpp": "#include <libavcodec/avcodec.h>\n",
        "include/daedalus/device/device.h": "#include <libavutil/frame.h>\n",
        "src/transport/socket/node.cpp": "#include <fuse3/cuse_lowlevel.h>\n",
        "src/transport/cuse/node.cpp": '#include "daedalus/transport/inproc.h"\n',
        "src/preload/log.cpp": '#include "daedalus/base/log.h"\n',
        "proto/bad.h": '#include "daedalus/base/log.h"\n',
        "include/daedalus/queue/leak.h": '#include "../../../src/queue/private.h"\n',
        "src/newroom/x.cpp": '#include "daedalus/base/log.h"\n',
        "src/queue/gone.cpp": '#include "daedalus/queue/gone.h"\n',
    }

    def lay(folder, contents):
        for name, text in contents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name).resolve()
        lay(folder, good)
        complaints, _ = check(folder)
        assert not complaints, complaints
        lay(folder, bad)
        found = {line.split(":")[0] for line in check(folder)[0]}
        assert found == set(bad), f"not found: {set(bad) - found}; wrongly found: {found - set(bad)}"
    print(f"{len(bad)} bad examples found, {len(good)} good ones pass")


def main():
    if "--self-test" in sys.argv:
        _self_test()
        return 0
    complaints, seen = check(tree.ROOT)
    print("\n".join(complaints) or f"{seen} includes, all point down")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())

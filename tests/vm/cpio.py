"""Writes the one archive format that a kernel takes as its initramfs (newc)."""


class Archive:
    """Collects files and folders; bytes() is the archive."""

    def __init__(self):
        self._parts = []
        self._count = 0

    def folder(self, name):
        self._add(name, 0o040755, b"")

    def file(self, name, content, mode=0o755):
        self._add(name, 0o100000 | mode, content)

    def console(self):
        """/dev/console, which the kernel opens for the first program."""
        self._add("dev/console", 0o020600, b"", major=5, minor=1)

    def bytes(self):
        trailer = Archive()
        trailer._add("TRAILER!!!", 0, b"")
        return b"".join([*self._parts, *trailer._parts])

    def _add(self, name, mode, content, major=0, minor=0):
        self._count += 1
        path = name.encode() + b"\0"
        fields = (self._count, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(path), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        for part in (header + path, content):
            self._parts.append(part + b"\0" * (-len(part) % 4))

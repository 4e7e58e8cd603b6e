#!/usr/bin/env python3
"""Unpacks Debian's kernel, its headers, a static busybox and udev for the VM, without installing them.

    kernel.py [FOLDER]              makes FOLDER ready; takes seconds, and no time and no network once it is
    kernel.py [FOLDER] --headers    prints the folder for `make -C ... M=... modules`
    kernel.py [FOLDER] --release    prints what `uname -r` says in the VM

FOLDER is $DAEDALUS_VM_CACHE or build/vm if it is not given. What is unpacked are the lines of scripts/packages.txt
that begin with `@`.
"""

import argparse
import fcntl
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parents[2]
# Raised when what an older version of this file unpacked must be unpacked again. Each has a folder of its own: trees of
# different age may share a cache, and a VM may be running from it.
LAYOUT = "3"
# What the initramfs loads: enough to mount the host's root, and to make a writable root of it.
BOOT_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
# Two thirds of the packages' bytes and half of their files, which no test asks for: what drives real hardware, other
# machines' headers.
LEFT_OUT = ("./usr/share", "./usr/src/linux-headers-*-common/arch/[!x]*", "./lib/modules/*/kernel/sound",
            *(f"./lib/modules/*/kernel/drivers/{name}" for name in (
                "net", "scsi", "infiniband", "iio", "gpu/drm/amd", "gpu/drm/i915", "gpu/drm/nouveau", "gpu/drm/radeon")))


class Missing(Exception):
    """Something that the VM needs is not there; the message says what, why, and what to do."""


class Kernel:
    """What was unpacked into `root`: `image` (what QEMU boots), `modules`, `headers`, `busybox`, and their `release`."""

    def __init__(self, folder):
        self.folder = folder
        self.release = (folder / "release").read_text(encoding="utf-8").strip()
        self.root = folder / "root"
        self.image = folder / "vmlinux"
        self.busybox = folder / "root/bin/busybox"
        self.modules = folder / "root/lib/modules" / self.release
        self.headers = folder / "root/usr/src" / f"linux-headers-{self.release}"

    def boot_modules(self):
        """The files of BOOT_MODULES and of what they need, in the order in which they load."""
        needs = {}
        for line in (self.modules / "modules.dep").read_text(encoding="utf-8").splitlines():
            file, _, others = line.partition(":")
            needs[file] = others.split()
        by_name = {pathlib.Path(file).name.split(".")[0].replace("-", "_"): file for file in needs}
        ordered = []
        for name in BOOT_MODULES:
            file = by_name.get(name)
            # modules.dep has the furthest need last.
            for each in [*reversed(needs.get(file, [])), file] if file else []:
                if each not in ordered:
                    ordered.append(each)
        return [self.modules / file for file in ordered]


def default_folder():
    return pathlib.Path(os.environ.get("DAEDALUS_VM_CACHE") or SOURCE / "build/vm")


def wanted_packages():
    """The packages that scripts/packages.txt wants unpacked, metapackages resolved to what they stand for."""
    listed = (SOURCE / "scripts/packages.txt").read_text(encoding="utf-8")
    names = re.findall(r"^@(\S+)", listed, re.MULTILINE)
    for name in names:
        if re.fullmatch(r"linux-(image|headers)-amd64", name):
            text = run("apt-cache", "depends", name)
            real = re.findall(r"Depends: (linux-(?:image|headers)-\d\S+)", text)
            if not real:
                raise Missing(f"apt knows no package {name}: run `apt-get update`; Debian for amd64 has it")
            yield real[0]
            # The headers come in two packages, and their programs in a third; all are named by a release.
            if "headers" in name:
                yield from re.findall(r"Depends: (linux-headers-\d\S+-common|linux-kbuild-\d\S+)", run("apt-cache", "depends", real[0]))
        else:
            yield name


def run(*command, cwd=None):
    """The command's output; Missing if it fails."""
    try:
        # apt translates the words that are looked for here.
        done = subprocess.run(command, cwd=cwd, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        package = {"depmod": "kmod", "apt-get": "apt", "apt-cache": "apt"}.get(command[0], command[0])
        raise Missing(f"{command[0]} is not installed: apt-get install {package}") from error
    if done.returncode != 0:
        raise Missing(f"`{' '.join(map(str, command))}` failed with status {done.returncode}:\n{done.stderr.strip()}")
    return done.stdout


def uncompressed(vmlinuz):
    """The ELF image within a bzImage. Unpacking it here saves the 3 s that the VM would need for it at each boot."""
    image = vmlinuz.read_bytes()
    if image[0x202:0x206] != b"HdrS":
        raise Missing(f"{vmlinuz} is no bzImage: remove {vmlinuz.parents[2]} and run kernel.py again")

    def word(offset):
        return int.from_bytes(image[offset:offset + 4], "little")

    # Documentation/x86/boot.rst: the payload lies behind the real-mode sectors.
    start = (image[0x1F1] + 1) * 512 + word(0x248)
    payload = image[start:start + word(0x24C)]
    try:
        elf = lzma.LZMADecompressor().decompress(payload)
    except lzma.LZMAError as error:
        raise Missing(f"{vmlinuz} is not compressed with XZ as Debian 12's is: {error}") from error
    if not elf.startswith(b"\x7fELF"):
        raise Missing(f"{vmlinuz} holds no ELF image")
    return elf


def make(folder):
    packages = list(wanted_packages())
    root = folder / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="debs-") as debs:
        # apt's own user cannot write into a folder of ours; the packages are verified all the same.
        run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages, cwd=debs)
        for deb in sorted(pathlib.Path(debs).glob("*.deb")):
            unpack(deb, root)
    images = sorted(root.glob("boot/vmlinuz-*"))
    if not images:
        raise Missing(f"no kernel among the packages {' '.join(packages)}: see the `@` lines of scripts/packages.txt")
    release = images[0].name.removeprefix("vmlinuz-")
    run("depmod", "-b", str(root), release)
    (folder / "vmlinux").write_bytes(uncompressed(images[0]))
    relocate(root, release)
    (folder / "release").write_text(release + "\n", encoding="utf-8")


def unpack(deb, root):
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as reader:
        left_out = [f"--exclude={each}" for each in LEFT_OUT]
        done = subprocess.run(["tar", "-x", "-C", str(root), "--no-same-owner", *left_out],
                              stdin=reader.stdout, stderr=subprocess.PIPE, text=True, check=False)
    if reader.returncode != 0 or done.returncode != 0:
        raise Missing(f"cannot unpack {deb.name} into {root}: {done.stderr.strip() or 'dpkg-deb failed'}")


def relocate(root, release):
    """Points what names /usr/src at the folder where it is now."""
    makefile = root / "usr/src" / f"linux-headers-{release}" / "Makefile"
    if makefile.is_file():
        text = makefile.read_text(encoding="utf-8")
        makefile.write_text(text.replace("include /usr/src/", f"include {root}/usr/src/"), encoding="utf-8")
    links = root / "lib/modules" / release
    (links / "source").unlink(missing_ok=True)
    (links / "build").unlink(missing_ok=True)
    (links / "build").symlink_to(makefile.parent)


def provide(folder=None):
    """The Kernel in `folder`, unpacked now if it was not; waits for another process that does the same."""
    cache = (folder or default_folder()).resolve()
    home = cache / f"layout-{LAYOUT}"
    home.mkdir(parents=True, exist_ok=True)
    # Its Makefiles name where they are: a cache that was moved is made again.
    stamp = home / "stamp"
    with open(cache / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != f"{home}\n":
            stamp.unlink(missing_ok=True)
            make(home)
            stamp.write_text(f"{home}\n", encoding="utf-8")
    return Kernel(home)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=pathlib.Path)
    parser.add_argument("--headers", action="store_true")
    parser.add_argument("--release", action="store_true")
    options = parser.parse_args()
    try:
        kernel = provide(options.folder)
    except (Missing, OSError) as error:
        sys.exit(f"kernel.py: {error}")
    if options.headers:
        print(kernel.headers)
    if options.release:
        print(kernel.release)


if __name__ == "__main__":
    main()

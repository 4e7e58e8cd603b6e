#!/bin/busybox sh
# The VM's first program, run by busybox within the initramfs: mounts the host's root and hands over to guest.sh.
# Shares (see vm.py): hostroot (read-only), source (read-only), build, exchange.
set -e
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /lower /rw /newroot
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
# Whatever fails from here on ends the VM, and vm.py shows the console.
trap 'echo "vm init: failed; the lines above say why" >/dev/console; poweroff -f' EXIT

while read -r module; do insmod "/modules/$module"; done </modules/order

share() { # TAG FOLDER OPTIONS
    mkdir -p "$2"
    mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2"
}

share exchange /exchange rw,cache=none
. /exchange/settings

# The guest may write anywhere; what it writes to the root stays in its memory.
share hostroot /lower ro,cache=loose
mount -t tmpfs -o mode=755 rw /rw
mkdir /rw/upper /rw/work
mount -t overlay -o lowerdir=/lower,upperdir=/rw/upper,workdir=/rw/work root /newroot

mkdir -p /newroot/lib/modules /newroot/proc /newroot/sys /newroot/dev /newroot/run /newroot/tmp
mount -t tmpfs -o mode=755 run /newroot/run
# Before /tmp is covered: the cache may lie there.
mkdir /newroot/run/unpacked
mount --bind "/newroot$vm_unpacked" /newroot/run/unpacked
mount --bind /newroot/run/unpacked/lib/modules /newroot/lib/modules
mount -t tmpfs -o mode=1777 tmp /newroot/tmp
share source "/newroot$VM_SOURCE" ro,cache=loose
share build "/newroot$VM_BUILD" rw,cache=loose
mkdir -p /newroot/run/vm
mount --move /exchange /newroot/run/vm
cp /bin/busybox /newroot/run/busybox

mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 pts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
for each in proc sys dev; do mount --move /$each /newroot/$each; done
trap - EXIT
exec switch_root /newroot /bin/sh /run/vm/guest.sh

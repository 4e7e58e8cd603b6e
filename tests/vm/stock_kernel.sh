# What the other scripts rely on: Debian's kernel, its modules, the shares, an unprivileged user.
. "$VM_SOURCE/tests/vm/cases.sh"

release_is_debians() { case $(uname -r) in 6.1.*-amd64) ;; *) fail "uname -r says $(uname -r)" ;; esac; }

loads_cuse() {
    modules cuse
    [ -c /dev/cuse ] || fail 'no /dev/cuse'
    same 'the numbers of /dev/cuse' "$(cat /sys/class/misc/cuse/dev)" "$(printf '%d:%d' $(stat -c '0x%t 0x%T' /dev/cuse))"
}
loads_vivid() {
    modules 'vivid n_devs=1 node_types=0x1'
    v4l2-ctl -d /dev/video0 -D | grep -q vivid
}
loads_vgem() {
    modules vgem
    ls -d /dev/dri/card0
}
has_no_shim() { [ ! -e /dev/daedalus-shim ]; }

source_is_read_only() {
    grep -q "project('daedalus'" "$VM_SOURCE/meson.build"
    if touch "$VM_SOURCE/written" 2>/dev/null; then fail "wrote to $VM_SOURCE"; fi
}
build_is_shared() {
    echo "written in the guest" >"$VM_BUILD/vm-stock-kernel"
    same content "written in the guest" "$(cat "$VM_BUILD/vm-stock-kernel")"
    rm "$VM_BUILD/vm-stock-kernel"
}
root_is_the_hosts() {
    [ -x /usr/bin/v4l2-compliance ]
    echo scribble >/etc/daedalus-scribble
}
has_room() {
    for folder in /tmp /run /dev/shm; do head -c 1000000 /dev/zero >$folder/room || fail "no room in $folder"; done
    mkfifo /tmp/pipe
}

nobody_has_no_rights() {
    same uid 65534 "$(as_nobody id -u)"
    same groups 65534 "$(as_nobody id -G)"
    same capabilities 0000000000000000 "$(as_nobody sed -n 's/^CapEff:.//p' /proc/self/status)"
    modules cuse
    if as_nobody sh -c ': <>/dev/cuse' 2>/dev/null; then fail 'nobody opened /dev/cuse'; fi
}
udev_follows_rules() {
    echo 'SUBSYSTEM=="misc", KERNEL=="cuse", GROUP="video", MODE="0660"' >/tmp/90-cuse.rules
    rmmod cuse
    start_udev /tmp/90-cuse.rules
    modules cuse
    udevadm settle
    same '/dev/cuse' 'root video 660' "$(stat -c '%U %G %a' /dev/cuse)"
}
knows_time_and_network() {
    [ "$(date +%Y)" -ge 2024 ] || fail "the clock says $(date)"
    grep -q 00000000 /proc/net/route && fail 'there is a way out of the VM'
    [ -d /proc/sys/net/ipv4/conf/lo ]
}

check "the kernel is Debian's" release_is_debians
check 'cuse loads and has its device' loads_cuse
check 'vivid loads and answers' loads_vivid
check 'vgem loads' loads_vgem
check 'no shim is there yet' has_no_shim
check 'the work tree is there, read-only' source_is_read_only
check 'the build folder is there, writable' build_is_shared
check "the root is the host's, and writable" root_is_the_hosts
check 'there is room for temporary files' has_room
check 'nobody has no rights' nobody_has_no_rights
check 'udev starts and follows a rule' udev_follows_rules
check 'the clock is right, and there is no network' knows_time_and_network
finish

# The daemon as a service of systemd, in containers, with and without the kernel module, and its deaths at bad moments.
# Boots by `vm.py --systemd`, which has what Daedalus installs in its place.
. "$VM_SOURCE/tests/vm/cases.sh"
. "$VM_SOURCE/tests/vm/daemon.sh"
node=/dev/video64
member='setpriv --reuid=member --regid=member --init-groups --no-new-privs --'
stranger='setpriv --reuid=stranger --regid=stranger --init-groups --no-new-privs --'

has() { systemctl show --property "$1" --value daedalus; }
status_of() { sed -n "s/^$1:\t//p" "/proc/$(has MainPID)/status"; }
load() { [ -e /dev/daedalus-shim ] || insmod "$VM_BUILD/daedalus-shim.ko"; }
# starts [COMMAND]: the service by systemctl; it is ready when systemctl returns.
starts() {
    systemctl "${1:-start}" daedalus || { systemctl status daedalus; journalctl -u daedalus; return 1; }
    udevadm settle
    same 'the owner of the node' 'root video 660' "$(stat -c '%U %G %a' $node)"
}
# nonblocking NODE [COMMAND...]: whether F_SETFL is heeded by DQEVENT, in a process of the command's making.
nonblocking() {
    node=$1
    shift
    cat >setfl.py <<'END'
import errno, fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)
try:
    fcntl.ioctl(fd, 0x80885659, bytearray(136))  # VIDIOC_DQEVENT
except OSError as error:
    sys.exit(error.errno != errno.ENOENT)
END
    "$@" timeout 10 python3 -B setfl.py "$node"
}

boots() {
    lsmod | grep -q '^cuse ' || fail 'modules-load.d did not load cuse'
    id daedalus >/dev/null || fail 'sysusers.d made no user'
    udevadm settle
    same 'the owner of /dev/cuse' 'root daedalus 660' "$(stat -c '%U %G %a' /dev/cuse)"
    systemd-analyze verify --man=no daedalus.service
    useradd --groups video member
    useradd stranger
}
starts_by_notify() {
    starts
    same 'its type' notify "$(has Type)"
    same 'what it says' 'Serving' "$(has StatusText | cut -d ' ' -f 1)"
    # Ready: no client has to try twice.
    systemctl restart daedalus
    v4l2-ctl -d $node --info >/dev/null
}
has_few_rights() {
    starts
    id=$(id -u daedalus)
    same 'its user' "$id $id $id $id" "$(status_of Uid | tr '\t' ' ')"
    # CAP_SYS_PTRACE alone, also of those that it could get.
    for set in CapInh CapPrm CapEff CapBnd CapAmb; do same $set 0000000000080000 "$(status_of $set)"; done
    same 'no new privileges' 1 "$(status_of NoNewPrivs)"
    same 'a filter of system calls' 2 "$(status_of Seccomp)"
    # In tenths, 100 is a service without any limits.
    systemd-analyze security --no-pager --threshold=14 daedalus.service >report || { tail -n 3 report; false; }
    tail -n 1 report
}
serves_the_group() {
    starts
    for memory in userptr dmabuf; do as=$member decodes $node --memory $memory; done
    nonblocking $node $member
    if $stranger sh -c ": <>$node" 2>refusal; then fail 'a stranger opened the node'; fi
    grep -q 'Permission denied' refusal
}
stops_and_starts() {
    starts
    waits_for_event $node
    systemctl stop daedalus
    wait_for 5 test -s ended
    same 'what the client saw' 'No such device' "$(cat ended)"
    [ ! -e $node ] && [ ! -e /run/daedalus ]
    same 'how it ended' success "$(has Result)"
    starts
    as=$member decodes $node --memory userptr
}
restarts() {
    starts restart
    before=$(has MainPID)
    waits_for_event $node
    kill -KILL "$before"
    wait_for 5 test -s ended
    is_another() { [ "$(has ActiveState)" = active ] && [ "$(has MainPID)" != "$before" ]; }
    wait_for 20 is_another
    same 'restarts' 1 "$(has NRestarts)"
    udevadm settle
    as=$member decodes $node --memory userptr
}
serves_without_capability() {
    less=/run/systemd/system/daedalus.service.d
    mkdir -p $less
    trap 'rm -r $less; systemctl daemon-reload' EXIT
    printf '[Service]\nAmbientCapabilities=\nCapabilityBoundingSet=\n' >$less/none.conf
    systemctl daemon-reload
    starts restart
    same 'capabilities' 0000000000000000 "$(status_of CapEff)"
    $member v4l2-ctl -d $node --all | grep -q 'Video Memory-to-Memory Multiplanar'
    $member v4l2-compliance -d $node >report || true
    grep -q 'Succeeded: 44, Failed: 1, Warnings: 0' report || { cat report; false; }
    if as=$member decodes $node --memory userptr; then fail 'read memory without the right'; fi
    journalctl -u daedalus | grep -q CAP_SYS_PTRACE
}
attaches() {
    systemctl stop daedalus
    load
    starts
    same 'the owner of the module'\''s file' 'root daedalus 660' "$(stat -c '%U %G %a' /dev/daedalus-shim)"
    journalctl -u daedalus | grep -q 'daedalus-shim adds mmap' || { journalctl -u daedalus; false; }
    for memory in mmap userptr dmabuf; do as=$member decodes $node --memory $memory; done
    systemctl stop daedalus
    rmmod daedalus-shim
}

# contained HOW COMMAND...: in new namespaces of every kind, with a /dev that has /dev/video10, as an unprivileged user.
cat >contained <<'END'
set -e
how=$1
group=$(stat -c %g /dev/video10)
shift
mount -t proc proc /proc
mkdir -p /tmp/dev
mount -t tmpfs -o mode=755 dev /tmp/dev
for each in /dev/video10 /dev/null; do
    if [ "$how" = mknod ]; then
        # shellcheck disable=SC2046  # its two numbers
        mknod --mode=660 "/tmp$each" c $(printf '%d %d' $(stat -c '0x%t 0x%T' "$each"))
        chgrp "$group" "/tmp$each"
    else
        touch "/tmp$each"
        mount --bind "$each" "/tmp$each"
    fi
done
mount --move /tmp/dev /dev
exec setpriv --reuid=1000 --regid=1000 --groups "$group" --no-new-privs --bounding-set -all -- \
    unshare --user --map-current-user --cgroup -- "$@"
END
in_container="unshare --mount --uts --ipc --net --pid --fork sh $work/contained"
serves_containers() {
    load
    serve --cuse video10
    chmod 660 /dev/video10
    chgrp video /dev/video10
    same 'what the container has' 'null video10 1' "$($in_container bind sh -c 'echo $(ls /dev) $$')"
    for memory in mmap userptr dmabuf; do as="$in_container bind" decodes /dev/video10 --memory $memory; done
    nonblocking /dev/video10 $in_container bind
    # As Docker and Podman make it.
    for memory in mmap userptr; do as="$in_container mknod" decodes /dev/video10 --memory $memory; done
    stop
    rmmod daedalus-shim
}
serves_from_container() {
    load
    # A container in a container: the daemon sees neither this client nor the one above it.
    unshare --pid --fork --mount-proc unshare --pid --fork --mount-proc \
        "$daedalus" serve --socket "$work/socket" --cuse video10 >log 2>&1 &
    server=$!
    wait_for 20 grep -q 'use it with' log || { cat log; return 1; }
    grep -q 'daedalus-shim adds mmap and EXPBUF' log || { cat log; false; }
    v4l2-ctl -d /dev/video10 --all | grep -q 'Video Memory-to-Memory Multiplanar'
    for round in 1 2; do decodes /dev/video10 --memory mmap; done
    as="$in_container bind" decodes /dev/video10 --memory mmap
    # What it cannot reach it says.
    if decodes /dev/video10 --memory userptr; then fail 'reached out of its namespace'; fi
    grep -q 'another PID namespace' log
    kill "$(pgrep -P "$(pgrep -P "$server")")"
    wait_for 5 test ! -e /dev/video10
    rmmod daedalus-shim
}

# What the daemon answers first: the kernel's greeting, the open of its own device, the module's question by it.
dies_attaching() { # SIGNAL ANSWER
    load
    "$VM_BUILD/tests/vm/shim/dies_answering" "$1" "$2" "$daedalus" serve --socket "$work/socket" --cuse video10
    [ ! -e /dev/video10 ]
    # Nobody holds it who should be gone.
    rmmod daedalus-shim
}

case_of 'systemd boots with the user, /dev/cuse and the rights that are installed' boots
case_of 'the service tells when it is ready' starts_by_notify
case_of 'the service has a user of its own, one capability, and limits' has_few_rights
case_of 'the service serves group video, by USERPTR and DMABUF, and nobody else' serves_the_group
case_of 'systemctl stop ends waits and removes the node, start serves again' stops_and_starts
case_of 'systemd restarts the service after kill -9' restarts
case_of 'the service without its capability serves by retry' serves_without_capability
case_of 'the service attaches to the kernel module, and serves by MMAP' attaches
case_of 'a client in a container, by MMAP, USERPTR and DMABUF' serves_containers
case_of 'a daemon in a container, by MMAP' serves_from_container
for answer in 2 3; do
    case_of "killed with answer $answer of its attachment unwritten" dies_attaching 9 $answer
    case_of "aborted with answer $answer of its attachment unwritten" dies_attaching 6 $answer
done
finish

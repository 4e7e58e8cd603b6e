# The CUSE device with the kernel's own means: the programs of tests/integration, v4l-utils, and daemons that come and go.
. "$VM_SOURCE/tests/vm/cases.sh"

daedalus=$VM_BUILD/src/daedalus
programs=$VM_BUILD/tests/integration
seccomp_run=$VM_BUILD/tests/support/seccomp_run
compliance="python3 -B $VM_SOURCE/tests/compliance/run.py --daedalus $daedalus --cache $VM_BUILD/streams
    --deviations $VM_SOURCE/docs/deviations.md"
work=$(mktemp -d)
chmod 755 "$work"
cd "$work" || exit

# case_of NAME FUNCTION...: `check`, and no daemon or client of a failed case is left for the next.
case_of() {
    name=$1
    shift
    check "$name" alone "$@"
}
alone() {
    trap 'kill -KILL $server $client 2>/dev/null || true' EXIT
    server= client=
    "$@"
}
# serve OPTIONS...: starts a daemon in the background, its process in $server, its log in the file `log`.
serve() {
    rm -f log
    "$daedalus" serve --socket "$work/socket" "$@" >log 2>&1 &
    server=$!
    wait_for 20 grep -q 'use it with' log || { cat log; return 1; }
}
# stop [SIGNAL]: ends that daemon, and waits for its end.
stop() {
    kill "-${1:-TERM}" "$server"
    status=0
    wait "$server" || status=$?
    [ "${1:-TERM}" != TERM ] || same 'the daemon'\''s exit status' 0 "$status"
}
# refuses WORDS OPTIONS...: `serve` fails at once, with a message that has these words.
refuses() {
    words=$1
    shift
    if "$daedalus" serve --socket "$work/refused" "$@" >refusal 2>&1; then fail "served $*"; fi
    grep -q "$words" refusal || { cat refusal; fail "the message lacks: $words"; }
}
over_cuse() { DAEDALUS_TEST_TRANSPORT=cuse "$@"; }
# decodes NODE [OPTION...]: a small stream by way of the device, each frame as FFmpeg decodes it.
decodes() {
    node=$1
    shift
    "$daedalus" decode --device "$node" --framemd5 - "$@" "$VM_BUILD/streams/h264_small.h264" >frames
    sed -n '/^#/!s/.*, *//p' frames >md5s
    { cat "$VM_BUILD/streams/h264_small.h264.YU12.md5"; echo; } | cmp - md5s
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
# A program that waits for an event in the background: its process in $client, its end in the file `ended`.
waits_for_event() {
    rm -f ended waiting
    python3 -B - "$1" >ended <<'END' &
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
open("waiting", "w").close()
try:
    fcntl.ioctl(fd, 0x80885659, bytearray(136))  # VIDIOC_DQEVENT
    print("an event")
except OSError as error:
    print(os.strerror(error.errno))
END
    client=$!
    wait_for 20 test -e waiting
    sleep 0.3
}

tells_of_missing_module() { refuses 'modprobe cuse' --cuse; }
tells_of_missing_rights() {
    if as_nobody "$daedalus" serve --socket /tmp/nobody.sock --cuse >log 2>&1; then fail 'served as nobody'; fi
    grep -q '/dev/cuse: Permission denied' log || { cat log; false; }
}
tells_of_bad_names() {
    serve --cuse video20
    refuses 'this host has a /dev/video20' --cuse video20
    refuses 'this host has a /dev/video20' --cuse video21,video20
    [ ! -e /dev/video21 ]
    for name in video video256 video07 audio1 /dev/video1/ ..; do
        refuses 'not a V4L2 node' --cuse "$name"
    done
    stop
}

contract() { over_cuse "$programs/test_contract_$1"; }
contract_by_retry() { over_cuse "$seccomp_run" "$programs/test_contract_$1"; }
calls() { over_cuse "$programs/cuse/test_cuse_calls"; }
calls_by_retry() { over_cuse "$seccomp_run" "$programs/cuse/test_cuse_calls"; }
waits() { over_cuse "$programs/cuse/test_cuse_waits"; }

# DAEDALUS_STRESS_ROUNDS=1000 for a long run by hand.
dies_suddenly() {
    over_cuse env DAEDALUS_SOCKET="$work/stress.socket" DAEDALUS_STRESS_DAEMON="$programs/stress/stress_daemon" \
        "$programs/cuse/test_cuse_stress"
}

complies() { $compliance plain --cuse video10; }
complies_by_retry() { $compliance plain --cuse video10 --seccomp "$seccomp_run"; }
serves_v4l2_ctl() { $compliance ctl --cuse video0; }

doctor_tells() {
    if as_nobody "$daedalus" doctor >report; then :; fi
    grep -q '^CUSE  *no access  */dev/cuse' report
    grep -q '^client memory  *own only' report
    serve --cuse video10
    if "$daedalus" doctor >report; then :; fi
    grep -q '^CUSE  *ok  */dev/cuse' report
    grep -q '^client memory  *ok  *CAP_SYS_PTRACE' report
    grep -q '^/dev/video10  *present  *driver daedalus, by CUSE' report
    stop
}
serves_several() {
    serve --cuse video10,video11
    same 'the device name' 1 "$(grep -c DEVNAME=video11 /sys/class/cuse/video11/uevent)"
    same 'the numbers' '81:266 81:267' "$(cat /sys/class/cuse/video10/dev) $(cat /sys/class/cuse/video11/dev)"
    decodes /dev/video10 --memory userptr &
    first=$!
    (mkdir second && cd second && decodes /dev/video11 --memory dmabuf)
    wait $first
    v4l2-ctl -d /dev/video10 -D >one
    v4l2-ctl -d /dev/video11 -D >two
    if cmp -s one two; then fail 'both nodes have the same bus info'; fi
    stop
    [ ! -e /dev/video10 ] && [ ! -e /dev/video11 ]
}
lives_beside_videodev() {
    serve --cuse video20
    modules 'vivid n_devs=1 node_types=0x1'
    v4l2-ctl -d /dev/video0 -D | grep -q vivid
    decodes /dev/video20 --memory userptr
    stop
    serve --cuse
    same 'the major beside videodev, the first free name' 81:257 "$(cat /sys/class/cuse/video1/dev)"
    stop
    rmmod vivid
}
serves_socket_too() {
    serve --cuse video10
    decodes /dev/video10 --memory userptr &
    first=$!
    mkdir attached
    "$daedalus" run --attach socket -- "$daedalus" decode --device /dev/video10 --memory mmap --framemd5 attached/frames \
        "$VM_BUILD/streams/h264_small.h264"
    wait $first
    sed -n '/^#/!s/.*, *//p' attached/frames | diff - md5s
    # One node: a priority that is taken by one transport counts for the other.
    stop
}
advises_on_mmap() {
    serve --cuse video10
    if "$daedalus" decode --device /dev/video10 --memory mmap -o /dev/null "$VM_BUILD/streams/h264_small.h264"; then
        fail 'mapped a CUSE device'
    fi
    same 'advice given' 1 "$(grep -c 'asks for MMAP buffers' log)"
    stop
}

ends_waits_on_sigterm() {
    serve --cuse video10
    waits_for_event /dev/video10
    stop
    wait_for 5 test -s ended
    same 'what the client saw' 'No such device' "$(cat ended)"
    [ ! -e /dev/video10 ]
}
survives_sigkill() {
    for round in 1 2 3; do
        serve --cuse video10
        waits_for_event /dev/video10
        stop KILL
        wait_for 5 test -s ended
        wait_for 5 test ! -e /dev/video10
        serve --cuse video10
        decodes /dev/video10 --memory userptr
        stop
    done
}
frees_killed_clients() {
    serve --cuse video10
    before=$(ls /proc/$server/fd | wc -l)
    for round in 1 2 3; do
        waits_for_event /dev/video10
        kill -KILL "$client"
        status=0
        wait "$client" || status=$?
        same 'the status of the killed client' 137 "$status"
    done
    same 'descriptors of the daemon' "$before" "$(ls /proc/$server/fd | wc -l)"
    stop
}

unit=$VM_BUILD/src/daemon/service/daedalus.service
in_unit() { sed -n "s/^$1=//p" "$unit"; }
# serve_as_service [CAPABILITY]: by the unit's command line, as its user, with its capabilities or these.
serve_as_service() {
    id daedalus >/dev/null 2>&1 || useradd --system --user-group "$(in_unit User)"
    id member >/dev/null 2>&1 || useradd --groups video member
    id stranger >/dev/null 2>&1 || useradd stranger
    pidof systemd-udevd >/dev/null || start_udev "$VM_SOURCE/src/daemon/service/70-daedalus.rules"
    udevadm trigger --name-match=/dev/cuse
    udevadm settle
    same 'the owner of /dev/cuse' 'daedalus 660' "$(stat -c '%G %a' /dev/cuse)"
    capabilities=$(in_unit AmbientCapabilities | tr 'A-Z' 'a-z' | sed 's/^cap_/,+/')
    capabilities=${1-$capabilities}
    folder=/run/$(in_unit RuntimeDirectory)
    mkdir -p "$folder"
    chown daedalus "$folder"
    command=$(in_unit ExecStart)
    rm -f log
    # shellcheck disable=SC2086  # the words of the command line
    setpriv --reuid=daedalus --regid=daedalus --clear-groups --no-new-privs --inh-caps "-all$capabilities" \
        --ambient-caps "-all$capabilities" --bounding-set "-all$capabilities" "$daedalus" ${command#* } >log 2>&1 &
    server=$!
    wait_for 20 grep -q 'use it with' log || { cat log; return 1; }
    udevadm settle
    node=/dev/video64
    same 'the owner of the node' 'root video 660' "$(stat -c '%U %G %a' $node)"
}
as_member() { setpriv --reuid=member --regid=member --init-groups --no-new-privs -- "$@"; }
serves_as_the_unit_does() {
    serve_as_service
    for memory in userptr dmabuf; do
        as_member "$daedalus" decode --device $node --memory $memory --framemd5 - "$VM_BUILD/streams/h264_small.h264" |
            sed -n '/^#/!s/.*, *//p' >md5s
        { cat "$VM_BUILD/streams/h264_small.h264.YU12.md5"; echo; } | cmp - md5s
    done
    nonblocking $node as_member
    same 'capabilities of the daemon' 0000000000080000 "$(sed -n 's/^CapEff:.//p' /proc/$server/status)"
    if setpriv --reuid=stranger --regid=stranger --init-groups -- sh -c ": <>$node"; then fail 'a stranger opened the node'; fi
    stop
}
serves_without_capability() {
    serve_as_service ''
    same 'capabilities of the daemon' 0000000000000000 "$(sed -n 's/^CapEff:.//p' /proc/$server/status)"
    as_member v4l2-ctl -d $node --all | grep -q 'Video Memory-to-Memory Multiplanar'
    as_member v4l2-compliance -d $node >report || true
    grep -q 'Succeeded: 44, Failed: 1, Warnings: 0' report || { cat report; false; }
    if as_member "$daedalus" decode --device $node --memory userptr -o /dev/null "$VM_BUILD/streams/h264_small.h264"; then
        fail 'read memory without the right'
    fi
    grep -q CAP_SYS_PTRACE log
    stop
}
serves_containers() {
    serve --cuse video10
    chmod 666 /dev/video10
    cat >inside <<END
mount -t proc proc /proc
setpriv --reuid=1000 --regid=1000 --clear-groups --no-new-privs --bounding-set -all -- \
    $daedalus decode --device /dev/video10 --memory userptr --framemd5 - $VM_BUILD/streams/h264_small.h264 >frames
END
    unshare --mount --uts --ipc --net --pid --fork sh -e inside
    sed -n '/^#/!s/.*, *//p' frames >md5s
    { cat "$VM_BUILD/streams/h264_small.h264.YU12.md5"; echo; } | cmp - md5s
    # The other way round: the daemon is in a container and does not see the client.
    stop
    unshare --pid --fork --mount-proc "$daedalus" serve --socket "$work/socket" --cuse video10 >log 2>&1 &
    server=$!
    wait_for 20 grep -q 'use it with' log
    v4l2-ctl -d /dev/video10 --all | grep -q 'Video Memory-to-Memory Multiplanar'
    kill "$(pgrep -P "$server")"
    wait_for 5 test ! -e /dev/video10
}

case_of 'serve --cuse tells that the module is missing' tells_of_missing_module
modules cuse
case_of 'serve --cuse tells that it may not open /dev/cuse' tells_of_missing_rights
case_of 'serve --cuse tells of names that are taken or wrong' tells_of_bad_names
for part in buffers decode; do
    case_of "contract over CUSE: $part" contract $part
    case_of "contract over CUSE by retry: $part" contract_by_retry $part
done
case_of 'single calls' calls
case_of 'single calls by retry' calls_by_retry
case_of 'waits, signals, the end of the device' waits
case_of 'sudden deaths of clients and daemons' dies_suddenly
case_of 'v4l2-compliance' complies
case_of 'v4l2-compliance by retry' complies_by_retry
case_of 'v4l2-ctl, with a stream by USERPTR' serves_v4l2_ctl
case_of 'doctor tells what there is' doctor_tells
case_of 'two nodes in one daemon' serves_several
case_of 'videodev may be loaded before and after' lives_beside_videodev
case_of 'the socket serves at the same time' serves_socket_too
case_of 'a client that wants mmap is told about once' advises_on_mmap
case_of 'SIGTERM ends a client'\''s wait and removes the device' ends_waits_on_sigterm
case_of 'after SIGKILL a new daemon serves' survives_sigkill
case_of 'a killed client leaves nothing in the daemon' frees_killed_clients
case_of 'the service: its user, its capability, its udev rules' serves_as_the_unit_does
case_of 'the service without its capability serves by retry' serves_without_capability
case_of 'clients and daemons in containers' serves_containers
finish

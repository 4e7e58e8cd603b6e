# The CUSE device with the kernel's own means: the programs of tests/integration, v4l-utils, and daemons that come and go.
. "$VM_SOURCE/tests/vm/cases.sh"
. "$VM_SOURCE/tests/vm/daemon.sh"

programs=$VM_BUILD/tests/integration
seccomp_run=$VM_BUILD/tests/support/seccomp_run
compliance="python3 -B $VM_SOURCE/tests/compliance/run.py --daedalus $daedalus --cache $VM_BUILD/streams
    --deviations $VM_SOURCE/docs/deviations.md"

# refuses WORDS OPTIONS...: `serve` fails at once, with a message that has these words.
refuses() {
    words=$1
    shift
    if "$daedalus" serve --socket "$work/refused" "$@" >refusal 2>&1; then fail "served $*"; fi
    grep -q "$words" refusal || { cat refusal; fail "the message lacks: $words"; }
}
over_cuse() { DAEDALUS_TEST_TRANSPORT=cuse "$@"; }

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

calls() { over_cuse "$programs/cuse/test_cuse_calls"; }
calls_by_retry() { over_cuse "$seccomp_run" "$programs/cuse/test_cuse_calls"; }
waits() { over_cuse "$programs/cuse/test_cuse_waits"; }

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
takes_what_is_free() {
    serve --cuse video0,video2
    "$daedalus" serve --socket "$work/other" --cuse >second.log 2>&1 &
    client=$!
    wait_for 20 grep -q 'serving /dev/video1 to every program' second.log
    stop
    kill $client
    wait $client
    # A device of another program that has the numbers of ours.
    python3 -B - <<'END' &
import os, struct, time
fd = os.open("/dev/cuse", os.O_RDWR)
unique = struct.unpack_from("<Q", os.read(fd, 8192), 8)[0]
answer = struct.pack("<18I", 7, 31, 0, 0, 4096, 4096, 81, 266, *[0] * 10) + b"DEVNAME=taker\0"
os.write(fd, struct.pack("<IiQ", 16 + len(answer), 0, unique) + answer)
time.sleep(1000)
END
    client=$!
    wait_for 20 test -e /dev/taker
    serve --cuse video10,video11
    case $(cat /sys/class/cuse/video10/dev) in 81:*) fail 'two devices with the same numbers' ;; esac
    same 'the other one' 81:267 "$(cat /sys/class/cuse/video11/dev)"
    decodes /dev/video10 --memory userptr
    v4l2-ctl -d /dev/video10 -D | grep -q daedalus
    stop
    kill $client
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

case_of 'serve --cuse tells that the module is missing' tells_of_missing_module
modules cuse
case_of 'serve --cuse tells that it may not open /dev/cuse' tells_of_missing_rights
case_of 'serve --cuse tells of names that are taken or wrong' tells_of_bad_names
for program in "$programs"/test_contract_*; do
    [ -f "$program" ] || continue
    part=${program##*test_contract_}
    case_of "contract over CUSE: $part" over_cuse "$program"
    # What real codecs do does not depend on how a call's memory is read.
    [ "$part" = streams ] || case_of "contract over CUSE by retry: $part" over_cuse "$seccomp_run" "$program" '~[client-memory]'
done
single_planar() { DAEDALUS_TEST_PLANES=single over_cuse "$programs/test_contract_buffers" '~[multi-planar]'; }
case_of 'contract over CUSE on a single-planar node: buffers' single_planar
case_of 'single calls' calls
case_of 'single calls by retry' calls_by_retry
case_of 'waits, signals, the end of the device' waits
case_of 'sudden deaths of clients and daemons' dies_suddenly 700
case_of 'v4l2-compliance' complies
case_of 'v4l2-compliance by retry' complies_by_retry
case_of 'v4l2-ctl, with a stream by USERPTR' serves_v4l2_ctl
case_of 'doctor tells what there is' doctor_tells
case_of 'two nodes in one daemon' serves_several
case_of 'names and numbers that are taken are left to others' takes_what_is_free
case_of 'videodev may be loaded before and after' lives_beside_videodev
case_of 'the socket serves at the same time' serves_socket_too
case_of 'a client that wants mmap is told about once' advises_on_mmap
case_of 'SIGTERM ends a client'\''s wait and removes the device' ends_waits_on_sigterm
case_of 'after SIGKILL a new daemon serves' survives_sigkill
case_of 'a killed client leaves nothing in the daemon' frees_killed_clients
finish

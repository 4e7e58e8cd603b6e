# What scripts about the daemon share, in the guest: a folder to work in, daemons, clients. Sourced after cases.sh.
daedalus=$VM_BUILD/src/daedalus
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
# decodes NODE [OPTION...]: a small stream by way of the device, each frame as FFmpeg decodes it. $as may be a command that runs
# the client elsewhere.
decodes() {
    node=$1
    shift
    # shellcheck disable=SC2086  # the words of a command
    ${as-} "$daedalus" decode --device "$node" --framemd5 - "$@" "$VM_BUILD/streams/h264_small.h264" >frames
    sed -n '/^#/!s/.*, *//p' frames >md5s
    { cat "$VM_BUILD/streams/h264_small.h264.native.md5"; echo; } | cmp - md5s
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

# The daemon's CUSE device with the kernel shim: clients that know nothing of either.
. "$VM_SOURCE/tests/vm/cases.sh"
daedalus=$VM_BUILD/src/daedalus
static_client=$VM_BUILD/tests/support/static_client
node=/dev/video10
work=$(mktemp -d)
cd "$work" || exit

load() { [ -e /dev/daedalus-shim ] || insmod "$VM_BUILD/daedalus-shim.ko"; }
# serve: starts the daemon with the module, its process in $server, its log in the file `log`. Ended after the case.
serve() {
    load
    serve_now
}
serve_now() {
    "$daedalus" serve --socket "$work/socket" --cuse video10 >log 2>&1 &
    server=$!
    trap 'kill -KILL $server' EXIT
    wait_for 20 grep -q 'use it with' log || { cat log; return 1; }
}
ends() { # SIGNAL
    kill "-$1" "$server"
    wait "$server" || true
    trap - EXIT
}
# makes NAME OPTION...: a short stream, and its frames by FFmpeg's software in NAME.yuv.
makes() {
    name=$1
    shift
    ffmpeg -nostdin -v error -f lavfi -i testsrc2=size=320x240 -frames:v 12 -pix_fmt yuv420p "$@" "$name"
    ffmpeg -nostdin -v error -i "$name" -f rawvideo "$name.yuv"
}
makes_streams() {
    makes vp8.ivf -c:v libvpx -cpu-used 8 -deadline realtime -b:v 300k -g 6
    makes h264.mp4 -c:v libx264 -preset ultrafast -bf 2
    # As v4l2-ctl reads it: each frame behind its length.
    python3 - <<'END'
import struct
data, at, out = open("vp8.ivf", "rb").read(), 32, open("vp8.hdr", "wb")
while at + 12 <= len(data):
    size = struct.unpack_from("<I", data, at)[0]
    out.write(b"rdhV" + struct.pack(">I", size) + data[at + 12 : at + 12 + size])
    at += 12 + size
END
}

serves() {
    serve
    grep -q 'daedalus-shim adds mmap and EXPBUF' log
    "$daedalus" doctor | grep -q '^kernel shim  *ok' || fail 'doctor does not see it'
    if rmmod daedalus-shim 2>/dev/null; then fail 'unloaded while attached'; fi
    ends TERM
    [ ! -e $node ]
    # The daemon holds nothing any more.
    rmmod daedalus-shim
}
finds_it_later() {
    serve_now
    if grep -q daedalus-shim log; then fail 'it said something of a module that is not there'; fi
    if "$static_client" $node vp8.ivf first.yuv 2>error; then fail 'mapped without the module'; fi
    grep -q 'mmap: No such device' error
    load
    # The one that finds the module was opened too early itself.
    v4l2-ctl -d $node -D >/dev/null
    wait_for 10 grep -q 'daedalus-shim adds mmap and EXPBUF' log
    "$static_client" $node vp8.ivf second.yuv
    cmp second.yuv vp8.ivf.yuv
    ends KILL
}
# What a daemon sees of a module of another version: a device of that name, which tells the version $1 and serves until it is killed.
foreign_module() {
    python3 -B - "$1" <<'END' &
import os, struct, sys
fd = os.open("/dev/cuse", os.O_RDWR)
answers = {
    4096: struct.pack("<18I", 7, 31, 0, 0, 4096, 4096, 0, 0, *[0] * 10) + b"DEVNAME=daedalus-shim\0",  # CUSE_INIT
    14: bytes(16),  # OPEN
    39: struct.pack("<iIII", 0, 0, 0, 0) + struct.pack("<I", int(sys.argv[1])),  # IOCTL: GET_VERSION
    18: b"",  # RELEASE
}
while True:
    opcode, unique = struct.unpack_from("<IQ", os.read(fd, 1 << 17), 4)
    if opcode in answers:
        os.write(fd, struct.pack("<IiQ", 16 + len(answers[opcode]), 0, unique) + answers[opcode])
END
    foreign=$!
    wait_for 20 test -e /dev/daedalus-shim
}
forgets_foreign_module() {
    kill -KILL $foreign
    wait_for 5 test ! -e /dev/daedalus-shim
}
refuses_other_versions() {
    [ ! -e /dev/daedalus-shim ] || rmmod daedalus-shim
    ours=$(sed -n 's/^#define DAEDALUS_SHIM_VERSION //p' "$VM_SOURCE/proto/daedalus_shim.h")
    other=$((ours + 1))
    foreign_module $other
    trap 'kill -KILL $foreign' EXIT
    "$daedalus" doctor >report || true
    grep '^kernel shim  *other version' report | grep "speaks version $other of its protocol, this daedalus version $ours;" ||
        { cat report; false; }
    serve_now
    trap 'kill -KILL $server $foreign' EXIT
    wanted="daedalus-shim speaks version $other of its protocol, this daemon version $ours; unload it (\`rmmod daedalus-shim\`)"
    # Once, and clients are served without it.
    for round in 1 2; do "$daedalus" decode --device $node --memory userptr -o other.yuv h264.mp4; done
    cmp other.yuv h264.mp4.yuv
    same 'warnings' 1 "$(grep -cF "$wanted" log)"
    # An older one that takes its place is told of, too; ours is used.
    forgets_foreign_module
    foreign_module $((ours - 1))
    v4l2-ctl -d $node -D >/dev/null
    grep -q "daedalus-shim speaks version $((ours - 1)) of" log
    forgets_foreign_module
    load
    v4l2-ctl -d $node -D >/dev/null
    wait_for 10 grep -q 'daedalus-shim adds mmap and EXPBUF' log
    "$daedalus" decode --device $node --memory mmap -o other.yuv h264.mp4
    cmp other.yuv h264.mp4.yuv
    ends TERM
}
static_client_decodes() {
    serve
    if ldd "$static_client" >/dev/null 2>&1; then fail 'it is linked dynamically'; fi
    "$static_client" $node vp8.ivf static.yuv
    cmp static.yuv vp8.ivf.yuv
    ends TERM
}
v4l2_ctl_decodes() {
    serve
    v4l2-ctl -d $node -x pixelformat=VP80,width=320,height=240 -v pixelformat=YU12,width=320,height=240 \
        --stream-mmap --stream-out-mmap --stream-from-hdr vp8.hdr --stream-to ctl.yuv
    cmp ctl.yuv vp8.ivf.yuv
    ends TERM
}
ffmpeg_decodes() { # CODEC FILE
    serve
    ffmpeg -nostdin -v verbose -c:v "$1_v4l2m2m" -i "$2" -vsync passthrough -pix_fmt yuv420p -f rawvideo ffmpeg.yuv -y 2>messages
    grep -q "Using device $node" messages || { cat messages; false; }
    cmp ffmpeg.yuv "$2.yuv"
    ends TERM
}
decode_decodes() {
    serve
    for memory in mmap userptr dmabuf; do
        "$daedalus" decode --device $node --memory $memory -o $memory.yuv h264.mp4
        cmp $memory.yuv h264.mp4.yuv
    done
    ends TERM
}
complies() {
    modules 'vivid n_devs=1 node_types=0x1'
    # Its HDMI input has pictures that are large enough.
    v4l2-ctl -d /dev/video0 -i 3 -v width=1920,height=1080,pixelformat=YUYV >/dev/null
    serve
    v4l2-compliance -d $node -s -e /dev/video0 >report || true
    sed 's/.*\r//' report | grep -E 'fail:|warn:|MMAP|USERPTR|DMABUF|EXPBUF|^Total'
    # Excused in docs/deviations.md.
    if grep -E 'fail:|warn:' report | grep -v 'check_0(crbufs.reserved'; then fail 'findings'; fi
    for test in 'MMAP (no poll)' 'MMAP (select)' 'MMAP (epoll)' 'USERPTR (select)' 'DMABUF (no poll)' 'DMABUF (select)'; do
        grep -q "test $test: OK" report || fail "no success: $test"
    done
    ends TERM
    rmmod vivid
}
dies_with_mappings() {
    load
    dies_suddenly 300 DAEDALUS_STRESS_MEMORY=mmap
}
leaves_nothing() {
    rmmod daedalus-shim
    [ ! -e /dev/daedalus-shim ]
}

check 'cuse loads, streams are made' makes_streams
modprobe cuse
check 'the daemon finds the module and lets go of it' serves
check 'a daemon that is running finds the module when it is loaded' finds_it_later
check 'a module of another version is refused, and the right one found in its place' refuses_other_versions
check 'a statically linked client decodes by MMAP' static_client_decodes
check 'v4l2-ctl --stream-mmap decodes' v4l2_ctl_decodes
check 'ffmpeg h264_v4l2m2m decodes' ffmpeg_decodes h264 h264.mp4
check 'daedalus decode decodes by each kind of memory' decode_decodes
check 'v4l2-compliance -s, with buffers of vivid' complies
# With those without the module, in cuse.sh, a thousand rounds.
check 'sudden deaths of clients with mappings, and of daemons' dies_with_mappings
check 'nothing holds the module in the end' leaves_nothing
finish

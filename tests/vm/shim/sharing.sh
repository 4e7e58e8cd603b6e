# Memory that is shared between the daemon's CUSE device and other drivers, with the kernel shim. Sources are the synthetic
# streams, made on the host.
. "$VM_SOURCE/tests/vm/cases.sh"
daedalus=$VM_BUILD/src/daedalus
streams=$VM_BUILD/streams
node=/dev/video10
work=$(mktemp -d)
cd "$work" || exit

# vivid NAME: its device file of this kind.
vivid() {
    for folder in /sys/class/video4linux/*; do
        if grep -q "^vivid-000-$1\$" "$folder/name"; then echo "/dev/${folder##*/}"; fi
    done
}
# decodes STREAM PARTS OPTION...: each frame as FFmpeg decodes it. PARTS: the streams that it is made of.
decodes() {
    stream=$1 parts=$2
    shift 2
    "$daedalus" --log error,debug decode --device $node --framemd5 frames "$@" "$streams/$stream"
    sed -n '/^#/!s/.*, *//p' frames >md5s
    # shellcheck disable=SC2086  # several names
    for part in $parts; do cat "$streams/$part.YU12.md5"; echo; done | cmp - md5s
}
vivid_shows() {
    DAEDALUS_NODE=$node DAEDALUS_TEST_STREAM=$streams/h264_delimited.h264 DAEDALUS_TEST_PICTURES=seen.nv12 \
        "$VM_BUILD/tests/vm/shim/test_vivid_output"
    ffmpeg -nostdin -v error -i "$streams/h264_delimited.h264" -frames:v 4 -pix_fmt nv12 -f rawvideo wanted.nv12
    cmp seen.nv12 wanted.nv12
}

modules cuse 'vivid n_devs=1 node_types=0x101'
insmod "$VM_BUILD/daedalus-shim.ko"
"$daedalus" serve --socket "$work/socket" --cuse video10 --threads 1 >log 2>&1 &
server=$!
wait_for 20 grep -q 'daedalus-shim adds mmap and EXPBUF' log || { cat log; exit 1; }
for memory in mmap userptr dmabuf; do
    check "1920x1080 by $memory" decodes h264_1080p.h264 h264_1080p.h264 --memory $memory
done
check 'into dma-bufs of vivid, 1920x1080' decodes h264_1080p.h264 h264_1080p.h264 --memory dmabuf \
    --export-device "$(vivid vid-cap)"
check 'into dma-bufs of vivid, sizes that change' decodes h264_change.h264 \
    'h264_small.h264 h264_large.h264 h264_small.h264' --memory dmabuf --export-device "$(vivid vid-cap)"
check 'into dma-bufs of the node itself' decodes h264_1080p.h264 h264_1080p.h264 --memory dmabuf --export-device $node
check 'vivid shows the pictures in dma-bufs of the node' vivid_shows
kill $server
wait $server
check 'nothing holds the module in the end' rmmod daedalus-shim
finish

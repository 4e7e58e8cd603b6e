# Memory that is shared between the daemon's CUSE device and other drivers, with the kernel shim. Sources are the synthetic
# streams, made on the host.
. "$VM_SOURCE/tests/vm/cases.sh"
. "$VM_SOURCE/tests/vm/daemon.sh"
streams=$VM_BUILD/streams
node=/dev/video10

# vivid NAME: its device file of this kind.
vivid() {
    for folder in /sys/class/video4linux/*; do
        if grep -q "^vivid-000-$1\$" "$folder/name"; then echo "/dev/${folder##*/}"; fi
    done
}
# equal STREAM PARTS OPTION...: each frame as FFmpeg decodes it. PARTS: the streams that it is made of.
equal() {
    stream=$1 parts=$2
    shift 2
    "$daedalus" --log debug decode --device $node --framemd5 frames "$@" "$streams/$stream" 2>said || { cat said; return 1; }
    sed -n '/^#/!s/.*, *//p' frames >md5s
    # shellcheck disable=SC2086  # several names
    for part in $parts; do cat "$streams/$part.native.md5"; echo; done | cmp - md5s
}
# shared DEVICE STREAM PARTS: the same, in buffers of the device.
shared() {
    device=$1
    shift
    equal "$@" --memory dmabuf --export-device "$device"
    grep -q 'buffers come from device buffer' said
}
vivid_shows() {
    DAEDALUS_NODE=$node DAEDALUS_TEST_STREAM=$streams/h264_delimited.h264 DAEDALUS_TEST_PICTURES=seen.nv12 \
        "$VM_BUILD/tests/vm/shim/test_vivid_output"
    ffmpeg -nostdin -v error -i "$streams/h264_delimited.h264" -frames:v 4 -pix_fmt nv12 -f rawvideo wanted.nv12
    cmp seen.nv12 wanted.nv12
}

modules cuse 'vivid n_devs=1 node_types=0x101'
insmod "$VM_BUILD/daedalus-shim.ko"
serve --cuse video10 --threads 1
wait_for 20 grep -q 'daedalus-shim adds mmap and EXPBUF' log || { cat log; exit 1; }
for memory in mmap userptr dmabuf; do
    check "1920x1080 by $memory" equal h264_1080p.h264 h264_1080p.h264 --memory $memory
done
check '1920x1080 into dma-bufs of vivid' shared "$(vivid vid-cap)" h264_1080p.h264 h264_1080p.h264
check 'sizes that change into dma-bufs of vivid' shared "$(vivid vid-cap)" h264_change.h264 \
    'h264_small.h264 h264_large.h264 h264_small.h264'
check '1920x1080 into dma-bufs of the node itself' shared $node h264_1080p.h264 h264_1080p.h264
check 'vivid shows the pictures in dma-bufs of the node' vivid_shows
stop
check 'nothing holds the module in the end' rmmod daedalus-shim
finish

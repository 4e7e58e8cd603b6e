# Other people's clients at the daemon's CUSE device with the kernel shim: every codec that they know, every frame. Sources are
# the synthetic streams, made on the host.
. "$VM_SOURCE/tests/vm/cases.sh"
. "$VM_SOURCE/tests/vm/daemon.sh"
node=/dev/video10

# Everything within one `daedalus run`, so that GStreamer looks at its plugins once: that takes longer than all it does then.
if [ $# = 0 ]; then
    export DAEDALUS_PRELOAD="$VM_BUILD/src/preload/libdaedalus-preload.so"
    modprobe cuse
    insmod "$VM_BUILD/daedalus-shim.ko"
    serve --cuse video10 --threads 1
    wait_for 20 grep -q 'daedalus-shim adds mmap and EXPBUF' log || { cat log; exit 1; }
    exec "$daedalus" --log error run --device $node -- sh "$VM_SOURCE/tests/vm/shim/clients.sh" "$server"
fi
server=$1

# For the table in README.md.
export DAEDALUS_MEASURED="$VM_BUILD/measured"

clients() {
    python3 -B "$VM_SOURCE/tests/conformance/clients.py" --within --cache "$VM_BUILD/streams" --short "$@"
}
v4l2_ctl() {
    python3 -B "$VM_SOURCE/tests/conformance/ctl.py" --daedalus "$daedalus" --cache "$VM_BUILD/streams" --short \
        --cuse video11
}
# element COMMAND...: what GStreamer, started so, knows of its decoder element; of its plugins only those for V4L2.
element() {
    mkdir -p plugins
    # By name: to search /usr/lib takes minutes over 9p.
    ln -sf /usr/lib/*/gstreamer-1.0/libgstvideo4linux2.so plugins
    env GST_REGISTRY="$work/registry" GST_PLUGIN_SYSTEM_PATH="$work/plugins" "$@" gst-inspect-1.0 v4l2h264dec
}
is_needed() {
    if element DAEDALUS_DEVICE= >outside; then fail 'it finds the device by itself: --device is not needed'; fi
    rm registry
    element >inside
    grep -q $node inside || { cat inside; false; }
}
frees_the_module() {
    kill "$server"
    wait_for 10 test ! -e $node
    wait_for 10 rmmod daedalus-shim
}

check 'GStreamer sees the device only by run --device' is_needed
check 'decoders of ffmpeg' clients ffmpeg
for io in mmap dmabuf; do
    check "decoders of GStreamer by $io" clients gstreamer --io $io
done
check 'each codec by v4l2-ctl --stream-mmap and --stream-user' v4l2_ctl
check 'nothing holds the module in the end' frees_the_module
finish

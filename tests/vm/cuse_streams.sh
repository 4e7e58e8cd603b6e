# Streams through a CUSE device, each frame compared with FFmpeg's. The synthetic ones were made on the host.
. "$VM_SOURCE/tests/vm/cases.sh"
. "$VM_SOURCE/tests/vm/streams.sh"

v4l2_ctl() {
    python3 -B "$VM_SOURCE/tests/conformance/ctl.py" --daedalus "$VM_BUILD/src/daedalus" --cache "$VM_BUILD/streams" --short \
        --cuse video10 --memory "$1"
}

modules cuse
check 'the small set of streams by userptr' synthetic userptr --short
check 'a small stream of each codec by dmabuf' synthetic dmabuf --smallest
check 'each codec by v4l2-ctl --stream-user' v4l2_ctl user
checks_vectors userptr
finish

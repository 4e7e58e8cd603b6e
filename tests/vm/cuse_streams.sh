# The small set of synthetic streams through a CUSE device, each frame compared with FFmpeg's. They were made on the host.
. "$VM_SOURCE/tests/vm/cases.sh"

streams() {
    python3 -B "$VM_SOURCE/tests/conformance/run.py" synthetic --daedalus "$VM_BUILD/src/daedalus" --cache "$VM_BUILD/streams" \
        --short --cuse video10 --memory "$1"
}

modules cuse
for memory in userptr dmabuf; do
    check "the small set of streams by $memory" streams $memory
done
finish

# Streams through a CUSE device, each frame compared with FFmpeg's. The synthetic ones were made on the host.
. "$VM_SOURCE/tests/vm/cases.sh"

# For the table in README.md.
export DAEDALUS_MEASURED="$VM_BUILD/measured"

streams() {
    python3 -B "$VM_SOURCE/tests/conformance/run.py" synthetic --daedalus "$VM_BUILD/src/daedalus" --cache "$VM_BUILD/streams" \
        --short --cuse video10 --memory "$1"
}

# About sixty, a minute in an emulated machine; the larger ones go over the socket only.
vectors() {
    unset DAEDALUS_MEASURED
    [ -r "$DAEDALUS_VECTORS/manifest.tsv" ] || skip 'set DAEDALUS_VECTORS to a folder with a manifest.tsv, not below /tmp'
    python3 -B "$VM_SOURCE/tests/conformance/run.py" vectors --daedalus "$VM_BUILD/src/daedalus" --cache "$VM_BUILD/streams" \
        --cuse video10 --memory "$1" --up-to 510000
}

v4l2_ctl() {
    python3 -B "$VM_SOURCE/tests/conformance/ctl.py" --daedalus "$VM_BUILD/src/daedalus" --cache "$VM_BUILD/streams" --short \
        --cuse video10 --memory "$1"
}

modules cuse
for memory in userptr dmabuf; do
    check "the small set of streams by $memory" streams $memory
done
check 'each codec by v4l2-ctl --stream-user' v4l2_ctl user
check 'small streams of others by userptr' vectors userptr
finish

# Streams through a CUSE device with the kernel shim, each frame compared with FFmpeg's. The synthetic ones were made on the host.
. "$VM_SOURCE/tests/vm/cases.sh"
. "$VM_SOURCE/tests/vm/streams.sh"

modules cuse
insmod "$VM_BUILD/daedalus-shim.ko"
check 'the small set of streams by mmap' synthetic mmap --short
for memory in userptr dmabuf; do
    check "a small stream of each codec by $memory" synthetic $memory --smallest
done
checks_vectors mmap
check 'nothing holds the module in the end' rmmod daedalus-shim
finish

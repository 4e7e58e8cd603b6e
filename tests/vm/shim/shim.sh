# The kernel shim by itself, against a CUSE node of the tests' own.
. "$VM_SOURCE/tests/vm/cases.sh"
export DAEDALUS_SHIM_MODULE="$VM_BUILD/daedalus-shim.ko"
programs=$VM_BUILD/tests/vm/shim

shared_memory() { sed -n 's/^Shmem: *\([0-9]*\) kB/\1/p' /proc/meminfo; }

loads() {
    modules cuse vgem 'vivid n_devs=1 node_types=0x1'
    insmod "$DAEDALUS_SHIM_MODULE"
    same mode 600 "$(stat -c %a /dev/daedalus-shim)"
}
small_vivid() {
    rmmod vivid
    modules 'vivid n_devs=1 node_types=0x1 allocators=1'
    "$programs/test_shim_import" '[small]'
}
fuzz() {
    before=$(shared_memory)
    "$programs/shim_fuzz" "${DAEDALUS_FUZZ_SECONDS:-20}"
    after=$(shared_memory)
    # One memfd of the fuzzer's, forgotten once for each daemon, would be more.
    [ $((after - before)) -lt 200 ] || fail "shared memory grew from $before to $after kB"
}

check 'the module loads, and its file is root'"'"'s' loads
check 'it keeps its promises to daemons and clients' "$programs/test_shim"
check 'vivid and vgem import its dma-bufs' "$programs/test_shim_import" '[large]'
check 'vivid imports one for its device' small_vivid
check 'it survives a fuzzer, which leaves nothing behind' fuzz
check 'nothing holds it in the end' rmmod daedalus-shim
check 'it is loaded and unloaded under clients, 100 times' "$programs/test_shim_unload"
finish

# What scripts share that let `daedalus decode` take streams through a CUSE device of its own. Sourced after cases.sh.

# For the table in README.md.
export DAEDALUS_MEASURED="$VM_BUILD/measured"

decode_all() {
    python3 -B "$VM_SOURCE/tests/conformance/run.py" "$@" --daedalus "$VM_BUILD/src/daedalus" --cache "$VM_BUILD/streams" --cuse video10
}
# synthetic MEMORY WHICH
synthetic() { decode_all synthetic --memory "$1" "$2"; }
# checks_vectors MEMORY: a case for the vectors, if there are any.
checks_vectors() { [ -z "${DAEDALUS_VECTORS:-}" ] || check "small streams of others by $1" vectors "$1"; }
# vectors MEMORY: about sixty; the larger ones go over the socket only.
vectors() {
    unset DAEDALUS_MEASURED
    case $DAEDALUS_VECTORS in /tmp/*) skip 'the vectors lie below /tmp, of which the VM has another' ;; esac
    decoded=$(mktemp)
    decode_all vectors --memory "$1" --short >"$decoded" || { cat "$decoded"; return 1; }
    tell "$(tail -n 1 "$decoded")"
}

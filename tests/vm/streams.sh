# What scripts share that let `daedalus decode` take streams through a CUSE device of its own. Sourced after cases.sh.

# For the table in README.md.
export DAEDALUS_MEASURED="$VM_BUILD/measured"

decode_all() {
    python3 -B "$VM_SOURCE/tests/conformance/run.py" "$@" --daedalus "$VM_BUILD/src/daedalus" --cache "$VM_BUILD/streams" --cuse video10
}
# synthetic MEMORY WHICH
synthetic() { decode_all synthetic --memory "$1" "$2"; }
# vectors MEMORY: about sixty; the larger ones go over the socket only.
vectors() {
    unset DAEDALUS_MEASURED
    [ -r "$DAEDALUS_VECTORS/manifest.tsv" ] || skip 'set DAEDALUS_VECTORS to a folder with a manifest.tsv, not below /tmp'
    decoded=$(mktemp)
    decode_all vectors --memory "$1" --short >"$decoded" || { cat "$decoded"; return 1; }
    tell "$(tail -n 1 "$decoded")"
}

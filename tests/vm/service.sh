# The daemon as a service with the kernel shim: deaths at bad moments.
. "$VM_SOURCE/tests/vm/cases.sh"
daedalus=$VM_BUILD/src/daedalus
work=$(mktemp -d)
chmod 755 "$work"
cd "$work" || exit

# What the daemon answers first: the kernel's greeting, the open of its own device, the module's question by it.
dies_attaching() { # SIGNAL ANSWER
    "$VM_BUILD/tests/vm/shim/dies_answering" "$1" "$2" "$daedalus" serve --socket "$work/socket" --cuse video10
    [ ! -e /dev/video10 ]
    # Nobody holds it who should be gone.
    rmmod daedalus-shim
    insmod "$VM_BUILD/daedalus-shim.ko"
}
modules cuse
insmod "$VM_BUILD/daedalus-shim.ko"
for answer in 2 3; do
    check "killed with answer $answer of its attachment unwritten" dies_attaching 9 $answer
    check "aborted with answer $answer of its attachment unwritten" dies_attaching 6 $answer
done
finish

# The contract over a CUSE device with the kernel shim, which maps and exports what cuse.sh lets the tests do by themselves.
. "$VM_SOURCE/tests/vm/cases.sh"

contract() { DAEDALUS_TEST_TRANSPORT=shim "$1"; }

modules cuse
insmod "$VM_BUILD/daedalus-shim.ko"
for program in "$VM_BUILD"/tests/integration/test_contract_*; do
    [ ! -f "$program" ] || check "contract over CUSE with the module: ${program##*test_contract_}" contract "$program"
done
check 'nothing holds the module in the end' rmmod daedalus-shim
finish

# What CUSE costs, side by side in one run: single calls against vivid's, frames a second by USERPTR against decoding in
# process, round trips a frame. In an emulated machine: the ratios tell, not the figures.
. "$VM_SOURCE/tests/vm/cases.sh"

daedalus=$VM_BUILD/src/daedalus
modules cuse 'vivid n_devs=1 node_types=0x1'
cd "$(mktemp -d)" || exit

"$daedalus" serve --socket socket --cuse video10 --threads 1 >log 2>&1 &
server=$!
wait_for 20 grep -q 'use it with' log || { cat log; exit 1; }
for round in 1 2 3; do
    "$VM_BUILD/tests/bench/bench-device-calls" /dev/video0
    "$VM_BUILD/tests/bench/bench-device-calls" /dev/video10
done
kill $server
wait $server

# decode NAME OPTIONS...: milliseconds for the frames of a 1280x720 stream, with the start of the program.
decode() {
    name=$1
    shift
    began=$(date +%s%N)
    "$daedalus" decode "$@" --threads 1 --framemd5 frames "$VM_BUILD/streams/h264_delimited.h264" 2>/dev/null || exit
    took=$((($(date +%s%N) - began) / 1000000))
    count=$(grep -vc '^#' frames)
    echo "$name: $count frames of 1280x720 in $took ms, $((count * 100000 / took)) frames in 100 s"
}
"$daedalus" serve --socket socket --cuse video10 --threads 1 >log 2>&1 &
server=$!
wait_for 20 grep -q 'use it with' log || { cat log; exit 1; }
for round in 1 2 3; do
    decode 'in process' --in-process --memory userptr
    decode 'CUSE, USERPTR' --device /dev/video10 --memory userptr
    decode 'CUSE, DMABUF' --device /dev/video10 --memory dmabuf
done
kill $server
wait $server
echo "$(sed -n 's/.*removed after \([0-9]*\) round trips.*/\1/p' log) round trips for $((6 * count)) frames, 6 starts and ends"
cases_finished=1

# Runs the job once the host's root is there, leaves its exit status, and switches the VM off. The VM's process 1, or a service
# of systemd if that is (vm.py --systemd).
# Variables come from vm.py by the settings file; the job's output goes to the second serial line, the kernel's to the first.
. /run/vm/settings
[ "$vm_systemd" = 0 ] || [ $$ != 1 ] || exec /bin/sh /run/vm/systemd.sh
end() {
    dmesg >/run/vm/dmesg 2>/dev/null
    sync
    /run/busybox poweroff -f
}
trap end EXIT

hostname daedalus-vm 2>/dev/null
/run/busybox ip link set lo up
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/0 /dev/stdin
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
cd "$VM_SOURCE" || exit

# Held open: with its last user a line forgets its size.
exec 3<>/dev/ttyS1
if [ "$vm_shell" = 1 ]; then
    stty sane rows "$vm_rows" columns "$vm_columns" <&3
    export TERM="$vm_term"
    setsid --ctty --wait bash -i </dev/ttyS1 >/dev/ttyS1 2>&1 3>&-
    status=$?
else
    stty raw -echo <&3
    setsid --wait sh /run/vm/job </dev/null >/dev/ttyS1 2>&1 3>&-
    status=$?
    # Setting a line waits until its buffer is empty: what is in it would be lost with the power.
    stty raw -echo <&3
    /run/busybox usleep 50000
fi
echo "$status" >/run/vm/status

# The VM's process 1 for `vm.py --systemd`: lets systemd take over, which runs guest.sh, and by it the job, as a service.
# systemd and its units are the host's, udev and its units what kernel.py unpacked.
cp -r /run/unpacked/lib/udev /run/unpacked/lib/systemd /lib
cp /run/unpacked/bin/udevadm /usr/bin
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
# A file system table, or a console's login, would be those of the host.
: >/etc/fstab

units=/run/systemd/system
mkdir -p $units
# What takes seconds here and serves nobody.
for unit in systemd-hwdb-update.service systemd-firstboot.service systemd-random-seed.service systemd-journal-flush.service \
    systemd-update-done.service ldconfig.service systemd-machine-id-commit.service systemd-pstore.service \
    systemd-binfmt.service systemd-remount-fs.service systemd-update-utmp.service dev-hugepages.mount dev-mqueue.mount \
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount proc-sys-fs-binfmt_misc.automount; do
    ln -s /dev/null "$units/$unit"
done
cat >$units/vm.service <<'END'
[Unit]
DefaultDependencies=no
Requires=sysinit.target
After=sysinit.target

[Service]
Type=exec
ExecStart=/bin/sh /run/vm/guest.sh
END

# What `meson install` puts on a machine, if this is a complete build of it.
service=$VM_SOURCE/src/daemon/service
unit=$VM_BUILD/src/daemon/service/daedalus.service
if [ -e "$unit" ]; then
    program=$(sed -n 's/^ExecStart=\([^ ]*\) .*/\1/p' "$unit")
    lib=${program%/bin/*}/lib
    for folder in systemd/system udev/rules.d modules-load.d sysusers.d; do mkdir -p "$lib/$folder"; done
    cp "$VM_BUILD/src/daedalus" "$program"
    cp "$unit" "$lib/systemd/system"
    cp "$service/70-daedalus.rules" "$lib/udev/rules.d"
    cp "$service/modules-load.conf" "$lib/modules-load.d/daedalus.conf"
    cp "$service/sysusers.conf" "$lib/sysusers.d/daedalus.conf"
fi
exec /lib/systemd/systemd --unit=vm.service --show-status=no --log-target=console --log-level=warning

// Runs a program under a seccomp filter like the default one of Docker for a container without extra capabilities: what
// that profile does not allow fails with EPERM (clone3 with ENOSYS, so that libc falls back to clone).
//
//     seccomp_run PROGRAM ARGS...
//
// The profile is an allow-list of some 350 calls; this is its complement among the calls that Linux has on 64-bit machines,
// and stricter where the profile depends on the kernel's version: other processes' memory is out of reach.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <vector>

namespace {

constexpr int kDenied[] = {
    // other processes
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_pidfd_getfd,
    SYS_process_madvise,
    SYS_move_pages,
    SYS_migrate_pages,
    // memory policy and faults
    SYS_userfaultfd,
    SYS_mbind,
    SYS_set_mempolicy,
    SYS_get_mempolicy,
    // mounts and namespaces
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_unshare,
    SYS_setns,
    SYS_move_mount,
    SYS_open_tree,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    SYS_quotactl,
    SYS_swapon,
    SYS_swapoff,
    // keys, tracing, the kernel itself
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_syslog,
    SYS_acct,
    SYS_reboot,
    SYS_kexec_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_lookup_dcookie,
    SYS_fanotify_init,
    SYS_open_by_handle_at,
    SYS_name_to_handle_at,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
    SYS_vhangup,
    // time and host name
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,

    SYS_sethostname,
    SYS_setdomainname,
};

/// clone() flags that make namespaces.
constexpr unsigned kCloneNamespaces = 0x7E020000;

sock_filter statement(unsigned code, unsigned value) { return BPF_STMT(static_cast<unsigned short>(code), value); }

/// "If equal, the next instruction; else skip it."
sock_filter unlessEqualSkip(unsigned value) {
    return BPF_JUMP(static_cast<unsigned short>(BPF_JMP | BPF_JEQ | BPF_K), value, 0, 1);
}

std::vector<sock_filter> filter() {
    const sock_filter refuse = statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    std::vector<sock_filter> program{statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
    for (const int number : kDenied) {
        program.push_back(unlessEqualSkip(static_cast<unsigned>(number)));
        program.push_back(refuse);
    }
    program.push_back(unlessEqualSkip(SYS_clone3));
    program.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
    // clone: not with a new namespace. The number is in the accumulator; any other call goes to the last instruction.
    program.push_back(BPF_JUMP(static_cast<unsigned short>(BPF_JMP | BPF_JEQ | BPF_K), SYS_clone, 0, 3));
    program.push_back(statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)));
    program.push_back(BPF_JUMP(static_cast<unsigned short>(BPF_JMP | BPF_JSET | BPF_K), kCloneNamespaces, 0, 1));
    program.push_back(refuse);
    program.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    return program;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fputs("usage: seccomp_run PROGRAM ARGS...\n", stderr);
        return 2;
    }
    std::vector<sock_filter> program = filter();
    const sock_fprog loaded{static_cast<unsigned short>(program.size()), program.data()};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &loaded) != 0) {
        std::perror("seccomp_run: cannot load the filter");
        return 125;
    }
    execvp(argv[1], argv + 1);
    std::fprintf(stderr, "seccomp_run: %s: %s\n", argv[1], std::strerror(errno));
    return 127;
}

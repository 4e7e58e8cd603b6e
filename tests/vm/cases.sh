# What scripts of cases share, in the guest. A script sources it, calls `check` for each case, and ends with `finish`:
#
#     . "$VM_SOURCE/tests/vm/cases.sh"
#     modules cuse
#     opens_cuse() { exec 3<>/dev/cuse; }
#     check 'root opens /dev/cuse' opens_cuse
#     finish
#
# Meson reads the output as TAP, one result a case.

cases_count=0
cases_failed=0
cases_finished=0
cases_log=$(mktemp)
trap '[ "$cases_finished" = 1 ] || echo "Bail out! the script ended after $cases_count cases, before it called finish"' EXIT

# check NAME COMMAND...: one case, in a subshell with `set -e`; COMMAND may be a function. It fails by its status; its output
# is shown then. Status 77 skips it, with the last line of output as the reason.
check() {
    cases_name=$1
    shift
    cases_count=$((cases_count + 1))
    # Seen in the log when a case never ends.
    echo "# begins: $cases_name"
    # Not within `if`: that would switch off `set -e`.
    (set -e; "$@") >"$cases_log" 2>&1 </dev/null
    cases_status=$?
    case $cases_status in
    0)
        echo "ok $cases_count - $cases_name"
        sed -n 's/^tell: /#   /p' "$cases_log"
        ;;
    77) echo "ok $cases_count - $cases_name # SKIP $(tail -n 1 "$cases_log")" ;;
    *)
        cases_failed=$((cases_failed + 1))
        echo "not ok $cases_count - $cases_name"
        echo "# status $cases_status; its output:"
        tail -n 100 "$cases_log" | sed 's/^/#   /'
        ;;
    esac
}

# Ends the script: tells how many cases there were, and fails if one of them failed.
finish() {
    cases_finished=1
    echo "1..$cases_count"
    [ "$cases_failed" = 0 ]
    exit
}

# For a case: fail REASON..., skip REASON..., same WHAT WANTED GOT, tell WORDS... (which are shown if the case passes, too).
fail() { echo "$*"; exit 1; }
skip() { echo "$*"; exit 77; }
tell() { echo "tell: $*"; }
same() { [ "$2" = "$3" ] || fail "$1: wanted '$2', got '$3'"; }

# modules NAME...: loads modules of the stock kernel. Options follow a name in quotes: modules 'vivid n_devs=2' cuse.
modules() {
    for cases_module in "$@"; do
        # shellcheck disable=SC2086  # a name and its options
        modprobe $cases_module || fail "modprobe $cases_module failed: is it in $(uname -r)? dmesg may say more"
    done
}

# start_udev RULES...: starts Debian's udev with its own rules and these, which stays until the VM ends.
# `udevadm settle` waits until it has handled what has happened so far.
start_udev() {
    mkdir -p /lib/udev /run/udev/rules.d
    cp -r /run/unpacked/lib/udev/. /lib/udev
    [ $# = 0 ] || cp "$@" /run/udev/rules.d
    cp /run/unpacked/bin/udevadm /usr/bin/udevadm
    # One program, which looks at its name.
    ln -sf /usr/bin/udevadm /run/systemd-udevd
    /run/systemd-udevd --daemon || fail 'systemd-udevd did not start'
}

# as_nobody COMMAND...: without rights and groups. No functions.
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs -- "$@"; }

# dies_suddenly ROUNDS [VARIABLE=VALUE...]: the stress test of the CUSE device, in the folder where the case works.
dies_suddenly() {
    cases_rounds=$1
    shift
    cases_programs=$VM_BUILD/tests/integration
    env DAEDALUS_TEST_TRANSPORT=cuse DAEDALUS_SOCKET="$PWD/stress.socket" DAEDALUS_STRESS_ROUNDS="$cases_rounds" \
        DAEDALUS_STRESS_DAEMON="$cases_programs/stress/stress_daemon" "$@" "$cases_programs/cuse/test_cuse_stress" >stress.log ||
        { cat stress.log; fail 'see above'; }
    tell "$(grep ' rounds, ' stress.log)"
}

# wait_for SECONDS COMMAND...: until the command succeeds; fails when the time is over.
wait_for() {
    cases_tries=$(($1 * 10))
    shift
    while ! "$@"; do
        cases_tries=$((cases_tries - 1))
        [ $cases_tries -gt 0 ] || { echo "waited in vain for: $*"; return 1; }
        sleep 0.1
    done
}

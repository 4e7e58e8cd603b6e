# What scripts/demo and scripts/test share; sourced by them.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

trap 'exit 130' INT TERM

say() { printf '\n== %s\n' "$*"; }
die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Runs a command up to three times: a mirror may be away for a moment.
retry() {
    for pause in 5 20 0; do
        if "$@"; then return 0; fi
        [ "$pause" = 0 ] || { echo "failed; again in $pause s: $*"; sleep "$pause"; }
    done
    return 1
}

# update_lists COMMAND: makes apt's lists new, and sets $sudo; COMMAND is what root would run next.
update_lists() {
    sudo=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "not root and no sudo: as root, run: apt-get update, and $1"
        sudo=sudo
    fi
    retry $sudo apt-get -q update || die "apt-get update failed: check the network and /etc/apt/sources.list"
}

# The number of this Debian's release; testing and unstable have none, and are newer than all.
release() { (. /etc/os-release && echo "${VERSION_ID:-99}"); }

# packages RELEASE [SECTION...]: the packages to install of packages.txt, or of these sections of it, one a line.
packages() {
    awk -v release="$1" -v sections="$(shift; printf '|%s' "$@")|" '
        /^## / { section = substr($0, 4) }
        /^#/ || NF == 0 || $1 ~ /^@/ { next }
        sections != "||" && !index(sections, "|" section "|") { next }
        {
            name = $1
            if (match(name, /^[0-9]+[+]?:/)) {
                from = name + 0
                later = substr(name, RLENGTH - 1, 1) == "+"
                name = substr(name, RLENGTH + 1)
                if (later ? release < from : release != from) next
            }
            print name
        }' scripts/packages.txt
}

# The clang++ of packages.txt.
clang() {
    for version in 16 19; do
        if command -v "clang++-$version"; then return; fi
    done
    die "no clang++: scripts/packages.txt names it"
}

# Installs what of packages.txt is missing, of these sections beside those that every test needs, and says so.
install_packages() { # [SECTION...]
    command -v dpkg-query >/dev/null || die "this is not Debian: install what scripts/packages.txt names by hand"
    missing=
    for package in $(packages "$(release)" "To build" "To test" Checks VM Clients "Further clients" "$@"); do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=none
        [ "$status" = installed ] || missing="$missing $package"
    done
    if [ -z "$missing" ]; then
        say "All Debian packages of scripts/packages.txt are installed"
        return
    fi
    say "Installing Debian packages:$missing"
    update_lists "apt-get install$missing"
    # Unquoted: one word for each package.
    retry $sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $missing ||
        die "apt-get install failed: this project needs the package sources of Debian 12 or newer"
}

# unpack_kernel FOLDER: unpacks the packages of packages.txt that have an @ into FOLDER, where tests/vm finds them.
unpack_kernel() {
    DAEDALUS_VM_CACHE=$1
    export DAEDALUS_VM_CACHE
    say "Unpacking the kernel of the tests' VM into $1, if it is not there"
    python3 -B tests/vm/kernel.py --release && return
    # A machine that had all packages may have old lists, or none.
    update_lists "tests/vm/kernel.py $1"
    retry python3 -B tests/vm/kernel.py --release || die "the tests' VM has no kernel: the line above says why"
}

# configure FOLDER COMPILER OPTION...: sets a build folder up, or again with these options if it is there already.
configure() {
    folder=$1 compiler=$2
    shift 2
    if [ -f "$folder/build.ninja" ]; then
        meson configure "$folder" "$@" >/dev/null && return 0
        rm -rf "$folder"
    fi
    # Debian's tools, whatever else the caller's PATH offers.
    CXX="ccache $compiler" meson setup "$folder" "$@"
}

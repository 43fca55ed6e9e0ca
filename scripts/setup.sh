# Sourced by demo, test and the others: sets up .venv and node_modules below the repository.
# A plain POSIX shell is all that may be counted on here.


say() { printf '%s\n' "$*"; }
stop() { printf '%s\n' "$*" >&2; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }
have() { command -v "$1" >/dev/null 2>&1; }

# A Python between 3.11 and 3.13 that can make environments. The system's own comes first: servers
# of other accounts must be able to run it.
find_python() {
    for candidate in /usr/bin/python3 python3.13 python3.12 python3.11 python3; do
        have "$candidate" && "$candidate" -c '
import sys, venv, ensurepip
sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null &&
            { command -v "$candidate"; return; }
    done
    return 1
}

# The system packages that are missing for what the arguments name: base, compiler, qt, browser,
# docker, slurm, doors. One that ends in '?' is a part of another in some releases.
missing_packages() {
    for part in "$@"; do
        case $part in
        base)
            find_python >/dev/null || echo python3 python3-venv
            [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates ;;
        compiler)
            have g++ || echo g++
            python=$(find_python) && "$python" -c '
import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || echo python3-dev ;;
        qt)
            # Of what PyQt's libraries load, those that a bare system may lack.
            /sbin/ldconfig -p | grep -q 'libEGL\.so\.1' && /sbin/ldconfig -p | grep -q 'libxkbcommon\.so\.0' ||
                echo libdbus-1-3 libegl1 libfontconfig1 libgl1 'libglib2.0-0?' 'libglib2.0-0t64?' libxkbcommon0 ;;
        browser)
            have chromium || echo chromium fonts-dejavu-core ;;
        docker)
            have dockerd || echo docker.io iptables
            have docker || echo 'docker-cli?' 'docker-buildx?'
            have debootstrap || echo debootstrap
            have docker-registry || echo docker-registry
            # A program of its own, or a plugin.
            have docker-compose || docker compose version >/dev/null 2>&1 || echo docker-compose ;;
        slurm)
            have slurmctld && have slurmd || echo slurm-wlm
            have slurmdbd || echo slurmdbd
            have munged || echo munge
            have mariadb-install-db || echo mariadb-server
            have ip || echo iproute2
            have faketime || echo faketime
            have sudo || echo sudo ;;
        doors)
            [ -x /usr/sbin/slapd ] || echo slapd
            [ -x /usr/sbin/nginx ] || echo nginx-light
            have oathtool || echo oathtool
            ls /lib/*/security/pam_oath.so >/dev/null 2>&1 || echo libpam-oath ;;
        esac
    done
}

# Install system packages as root; as anybody else, name the line to copy.
system_packages() {
    packages=$(missing_packages "$@" | tr '\n' ' ')
    [ -n "${packages% }" ] || return 0
    if ! have apt-get; then
        say "Missing on this machine, and it has no apt-get: $packages"
        return 1
    fi
    if ! is_root; then
        say "Missing on this machine. An administrator can install it with:"
        say "  sudo apt-get install $(offered $packages)"
        return 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >/dev/null
    packages=$(offered $packages)
    say "Installing system packages: $packages"
    # shellcheck disable=SC2086 # the names are separate words
    apt-get install -y -q --no-install-recommends $packages >/dev/null
}

# Packages, without those that this release has as parts of others.
offered() {
    for package in "$@"; do
        case $package in
        *'?') apt-cache show "${package%'?'}" >/dev/null 2>&1 || continue ;;
        esac
        printf '%s ' "${package%'?'}"
    done
}

# pip, uv and npm trust what this machine trusts: facilities behind inspecting proxies need it.
trust_the_machine() {
    bundle=/etc/ssl/certs/ca-certificates.crt
    export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}"
    [ ! -e "$bundle" ] ||
        export PIP_CERT="${PIP_CERT:-$bundle}" NODE_EXTRA_CA_CERTS="${NODE_EXTRA_CA_CERTS:-$bundle}"
}

# What an installation was made from: it is made again only when this changes.
fingerprint() { cat pyproject.toml constraints.txt package-lock.json scripts/setup.sh | cksum; }

# set_up EXTRAS GROUPS: the environment .venv with the portal, and its proxy from npm.
set_up() {
    stamp="$1 $2 $(fingerprint)"
    if [ -x .venv/bin/beamhub ] && [ "$(cat .venv/beamhub-stamp 2>/dev/null)" = "$stamp" ]; then
        return 0
    fi
    system_packages base || stop "Without these nothing can be set up."
    system_packages compiler || say "Going on without: PyMca can't be installed then."
    system_packages qt || say "Going on without: Quasar's notebooks can't start then."
    trust_the_machine
    python=$(find_python) || stop "No Python between 3.11 and 3.13 with its venv module was found.
Debian 12 and 13 and Ubuntu 24.04 have one."
    say "Making the environment .venv with $("$python" --version)"
    rm -f .venv/beamhub-stamp
    [ -x .venv/bin/pip ] || "$python" -m venv --clear .venv
    sed -n '/^uv==/,/[^\\]$/p' constraints.txt >.venv/uv.txt
    .venv/bin/python -I -m pip install -q --disable-pip-version-check --require-hashes -r .venv/uv.txt
    say "Installing the portal's Python packages"
    groups=$(for group in $2; do printf ' --group %s' "$group"; done)
    # uv refuses a file whose SHA-256 is none of those in the constraints, and no settings of a
    # folder above take part. Compiled now: accounts that can't write here would do it at each start.
    # shellcheck disable=SC2086
    UV_NO_CONFIG=1 .venv/bin/uv pip install --python .venv/bin/python --constraint constraints.txt \
        --compile-bytecode --editable ".[$1]" $groups
    say "Installing the proxy from npm"
    omit=--omit=dev
    [ -z "$2" ] || omit=
    # shellcheck disable=SC2086
    .venv/bin/npm ci --no-audit --no-fund --loglevel=error $omit
    printf '%s' "$stamp" >.venv/beamhub-stamp
}

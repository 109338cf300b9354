#!/bin/sh
# Installs Debian packages as root, and starts none of the services that they bring.
# invoke-rc.d and deb-systemd-invoke ask /usr/sbin/policy-rc.d before they start anything; 101 forbids it.
set -eu
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1

guard=/usr/sbin/policy-rc.d
if [ ! -e "$guard" ]; then
    trap 'rm -f "$guard"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$guard"
    chmod 755 "$guard"
fi

apt-get -qq update
apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 install "$@"

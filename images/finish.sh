#!/bin/sh
# Finishes the image of a release, run in a container that holds its packages: finish.sh HARDWARE MODULE
#
# A release that cannot be imported gives no image; where the module is not known, the probe finds out. The byte code that
# this leaves is wanted: containers are read-only. Run without a network, as root without rights.
set -eu
packages=$(echo /opt/tfbisect/environment/lib/python*/site-packages)
if [ "$1" = cuda ]; then
    # The driver's own library (libcuda.so.1) is no part of an image: the engine's device request brings the host's.
    ls -d "$packages"/nvidia/*/lib > /etc/ld.so.conf.d/tfbisect.conf
    /sbin/ldconfig
fi
if [ -z "$2" ]; then
    python -S -m compileall -q "$packages" > /dev/null 2>&1 || true
    exit 0
fi
# Only the end of what it prints is of use: the engine would keep all of it.
python -c 'import importlib, sys; importlib.import_module(sys.argv[1])' "$2" > /tmp/said 2>&1 || {
    status=$?
    tail -c 4000 /tmp/said
    exit "$status"
}

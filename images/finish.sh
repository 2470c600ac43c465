#!/bin/sh
# Finishes the image of a release, in a container of it: finish.sh HARDWARE MODULE CODE ROOT
#
# A release that cannot be imported gives no image; where the module is not known, the probe finds out. The byte code that
# this leaves is wanted: containers are read-only. CODE is byte_code.py. What the image gets is put below the folder ROOT;
# "" for where it belongs. Run without a network, as root without rights.
set -eu
if [ "$1" = cuda ]; then
    # The driver's own library (libcuda.so.1) is no part of an image: the engine's device request brings the host's.
    ls -d /opt/tfbisect/environment/lib/python*/site-packages/nvidia/*/lib > /etc/ld.so.conf.d/tfbisect.conf
    /sbin/ldconfig
    test -z "$4" || { mkdir -p "$4/etc/ld.so.conf.d" && cp -a /etc/ld.so.cache "$4/etc/" &&
        cp -a /etc/ld.so.conf.d/tfbisect.conf "$4/etc/ld.so.conf.d/"; }
fi
# Without a module no code of the packages is run, not even that which they leave for the start of an interpreter.
start=$(test -n "$2" || echo -S)
# Only the end of what it prints is of use: the engine would keep all of it.
python $start -c "$3" "$2" "$4" > /tmp/said 2>&1 || {
    status=$?
    tail -c 4000 /tmp/said
    exit "$status"
}

#!/bin/sh
# Makes the empty environment and the user, in a base with any interpreter.
set -eu
for found in /opt/python/bin/python3.*; do
    test ! -x "$found" || ln -sf "$(basename "$found")" /opt/python/bin/python3
done
python=/opt/python/bin/python3
test -x "$python" || python=$(command -v python3)
# Byte code of the standard library: containers are read-only and would compile it anew in every run.
"$python" -m compileall -q "$("$python" -c 'import os; print(os.path.dirname(os.__file__))')" > /dev/null || true
"$python" -m venv --without-pip /opt/tfbisect/environment
grep -q '^probe:' /etc/passwd || {
    echo 'probe:x:10001:10001::/tmp:/usr/sbin/nologin' >> /etc/passwd
    echo 'probe:x:10001:' >> /etc/group
}

#!/bin/sh
# Makes the base images of the service where no registry answers: a Debian with Python, and PostgreSQL on it.
#   sudo sh deploy/local_bases.sh [MIRROR]
#   export BASE_IMAGE=tfbisect-local/python POSTGRES_IMAGE=tfbisect-local/postgres
# The certificates that this machine trusts go with them, a company's own included.
set -eu
cd "$(dirname "$0")/.."
mirror=${1:-http://deb.debian.org/debian}
certificates=/etc/ssl/certs/ca-certificates.crt
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook="cp $certificates \$1$certificates" bookworm "$scratch/system.tar" "$mirror"
docker import --change "ENV PIP_CERT=$certificates SSL_CERT_FILE=$certificates REQUESTS_CA_BUNDLE=$certificates" \
    "$scratch/system.tar" tfbisect-local/python:latest
docker build --file deploy/postgres.Dockerfile --build-arg BASE_IMAGE=tfbisect-local/python:latest \
    --tag tfbisect-local/postgres:latest .

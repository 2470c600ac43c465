# The service: API, pages, coordinator, nightly. One image, several roles.
#   docker build -t tfbisect/service:local .
# Where no registry answers: --build-arg BASE_IMAGE=a Debian with python 3.11 or newer and python3-venv.
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE} AS build
# Two builds of one source give the same files: byte code without dates, and one date for all (RECORD and archives of
# wheels have their own). 1980 is where zip archives begin.
ARG SOURCE_DATE_EPOCH=315532800
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} \
    PYTHONHASHSEED=0
WORKDIR /src
# Packages before sources: a change in the code does not install them again.
COPY deploy/requirements.lock ./
RUN python3 -m venv /opt/tfbisect \
 && /opt/tfbisect/bin/python -m pip install --no-cache-dir --no-compile --disable-pip-version-check --require-hashes \
    -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY images images
COPY probes probes
COPY migrations migrations
COPY examples examples
COPY watches watches
# Byte code is not checked against its source again: nothing in a read-only image changes. pip has done its work.
RUN /opt/tfbisect/bin/python -m pip install --no-cache-dir --no-compile --disable-pip-version-check --no-deps . \
 && /opt/tfbisect/bin/python -m pip uninstall --quiet --yes pip setuptools \
 && find /opt/tfbisect -name __pycache__ -prune -exec rm -r {} + \
 && /opt/tfbisect/bin/python -m compileall -q -f --invalidation-mode unchecked-hash /opt/tfbisect/lib \
 && find /opt/tfbisect -exec touch --no-dereference --date=@${SOURCE_DATE_EPOCH} {} +

FROM ${BASE_IMAGE}
COPY --from=build /opt/tfbisect /opt/tfbisect
# A number, so that an orchestrator can see that it is not root.
RUN mkdir -p /data && chown 10001:10001 /data
ENV PATH=/opt/tfbisect/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/data \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TFBISECT_DATA_DIR=/data \
    TFBISECT_SECRETS_DIR=/run/secrets
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=4 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["tfbisect"]
CMD ["serve", "--host", "0.0.0.0"]

# The service: API, pages, coordinator, nightly. One image, several roles.
#   docker build -t tfbisect/service .
# Where no registry answers: --build-arg BASE_IMAGE=a Debian with python 3.11 or newer and python3-venv.
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE} AS build
WORKDIR /src
# Packages before sources: a change in the code does not install them again.
COPY pyproject.toml README.md LICENSE deploy/requirements.lock ./
RUN python3 -m venv /opt/tfbisect \
 && /opt/tfbisect/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY service service
COPY images images
COPY probes probes
COPY migrations migrations
COPY examples examples
COPY watches watches
RUN /opt/tfbisect/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps . \
 && /opt/tfbisect/bin/python -m compileall -q /opt/tfbisect/lib

FROM ${BASE_IMAGE}
COPY --from=build /opt/tfbisect /opt/tfbisect
# A number, so that an orchestrator can see that it is not root.
RUN mkdir -p /data && chown 10001:10001 /data
ENV PATH=/opt/tfbisect/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/data \
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

# The filter in front of the engine's socket. See engine_proxy.py.
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE}
COPY deploy/engine_proxy.py service/execution/seccomp.json /
EXPOSE 2375
HEALTHCHECK --interval=10s --timeout=4s --retries=3 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:2375/_ping', timeout=3)"]
ENTRYPOINT ["python3", "/engine_proxy.py"]

# One release: its packages, laid over the ground that images/base makes.
#
# packages.tar holds what `uv pip install --require-hashes` made of requirements.lock: installed outside, from one cache
# for all builds, so that nothing is downloaded twice and neither compiler nor cache ever enters an image.
ARG GROUND
FROM ${GROUND}
LABEL org.tfbisect.part=packages
ARG PYTHON
ARG MODULE
COPY requirements.lock /opt/tfbisect/
ADD packages.tar /opt/tfbisect/environment/lib/python${PYTHON}/site-packages/
# A release that cannot be imported gives no image; where the module is not known, the probe finds out. The byte code that
# this leaves is wanted: containers are read-only. Built without a network.
RUN if [ -n "${MODULE}" ]; then python -c "import importlib, sys; importlib.import_module(sys.argv[1])" "${MODULE}"; \
    else python -S -m compileall -q /opt/tfbisect/environment/lib/python${PYTHON}/site-packages || true; fi
USER probe

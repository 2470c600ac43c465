# One release with CUDA: as cpu.Dockerfile, and the libraries of its nvidia packages are put where the loader looks.
#
# The driver's own library (libcuda.so.1) is no part of an image: the engine's device request brings the host's.
ARG GROUND
FROM ${GROUND}
LABEL org.tfbisect.part=packages
ARG PYTHON
ARG MODULE
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY requirements.lock /opt/tfbisect/
ADD packages.tar /opt/tfbisect/environment/lib/python${PYTHON}/site-packages/
RUN ls -d /opt/tfbisect/environment/lib/python*/site-packages/nvidia/*/lib > /etc/ld.so.conf.d/tfbisect.conf && \
    /sbin/ldconfig
RUN python -c "import importlib, sys; importlib.import_module(sys.argv[1])" "${MODULE}"
USER probe

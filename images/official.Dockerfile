# One release from the project's own image, taken as it is: data sets and labels are laid over it, nothing is installed.
ARG IMAGE
FROM ${IMAGE}
LABEL org.tfbisect.part=packages
ARG MODULE
ARG RELEASE
ENV TFBISECT_DATASETS=/opt/tfbisect/datasets \
    HOME=/tmp
USER root
ADD datasets.tar /opt/tfbisect/datasets/
COPY check_release.py /opt/tfbisect/
RUN python /opt/tfbisect/check_release.py "${MODULE}" "${RELEASE}"
USER 65534
ENTRYPOINT []
CMD ["python"]

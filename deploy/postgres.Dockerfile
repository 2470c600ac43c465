# A PostgreSQL for places without a registry, taking the same variables as the usual image (postgres:16):
# set POSTGRES_IMAGE=tfbisect/postgres after `docker build -f deploy/postgres.Dockerfile --build-arg BASE_IMAGE=… .`
ARG BASE_IMAGE=debian:bookworm-slim
FROM ${BASE_IMAGE}
RUN command -v pg_createcluster >/dev/null || (apt-get update && apt-get install -y --no-install-recommends postgresql)
COPY deploy/postgres.sh /postgres.sh
RUN mkdir -p /var/lib/postgresql/data /run/postgresql && chown -R postgres /var/lib/postgresql /run/postgresql
USER postgres
EXPOSE 5432
ENTRYPOINT ["sh", "/postgres.sh"]

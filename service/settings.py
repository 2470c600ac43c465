"""Every setting, from TFBISECT_… environment variables; `tfbisect doctor --settings` lists them."""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

from service.secret_urls import SecretUrl

GIB = 1024**3
MIB = 1024**2

Role = Literal["all", "web", "coordinator"]
"""What a process of `tfbisect serve` does."""


def _default_data_dir() -> Path:
    """Return the user's data folder by the XDG rule."""
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "tfbisect"


class Settings(BaseSettings):
    """Settings with their defaults. A field's description is its documentation."""

    model_config = SettingsConfigDict(
        env_prefix="TFBISECT_",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # an invalid value may be a password
    )

    data_dir: Path = Field(default_factory=_default_data_dir, description="folder of the database and the environments")
    database_url: SecretUrl = Field(SecretUrl(""), description="SQLAlchemy URL; empty: SQLite in the data folder")
    runner: Literal["auto", "docker", "local"] = Field(
        "auto", description="docker, local, or auto: Docker if an engine is running"
    )
    parallel: int = Field(0, ge=0, le=256, description="how many runs at once; 0: one per core")

    index_url: SecretUrl = Field(
        SecretUrl(""),
        description="package index (simple API), https://user:password@host/simple; empty: uv's own default",
    )
    ca_bundle: Path | None = Field(
        None, description="certificate bundle for builds and the index, such as that of a company network"
    )
    catalog_max_age_seconds: PositiveFloat = Field(
        6 * 3600.0, description="age at which the list of releases is fetched again"
    )

    python_image: str = Field(
        "python:{python}-slim", description="base image of a release's image; {python} is the version it needs"
    )
    base_image: Literal["auto", "registry", "local"] = Field(
        "auto", description="auto: pull the base image, or build it locally if no registry responds"
    )
    any_package: bool = Field(True, description="also bisect packages that have no rules in images/recipes.toml")
    additions: str = Field(
        "any",
        description="packages that may be added beside a release: any, none, or a list of names such as pandas,scipy",
    )
    additions_at_most: PositiveInt = Field(16, description="how many packages one request may add by name")
    image_source: Literal["built", "official"] = Field(
        "built",
        description="source of images: built from the package index, or the project's official images",
    )
    registry: str = Field(
        "",
        description="mirror that official images come from, such as mirror.example.org/hub; empty: Docker Hub",
    )
    image_registry: str = Field(
        "",
        description="registry that finished images are pushed to and pulled from, such as registry.example.org/"
        "tfbisect, so that several machines build each once; whoever can write there is trusted; empty: none",
    )
    debian_mirror: SecretUrl = Field(
        SecretUrl(""), description="Debian mirror for base images that are built locally; empty: the host's own"
    )

    cache_dir: Path | None = Field(None, description="folder of downloaded packages; empty: in the data folder")
    image_budget_bytes: int = Field(
        0,
        ge=0,
        description="disk space for images, least recently used are removed first; 0: limited only by the reserve",
    )
    package_budget_bytes: PositiveInt = Field(
        20 * GIB, description="size that downloaded packages may have; whatever builds images deletes them above it"
    )
    parallel_builds: PositiveInt = Field(2, description="how many images are built at once")

    bridges: bool = Field(
        True, description="run releases in each other's environments to tell what a change comes from"
    )
    causes: bool = Field(True, description="look for the cause of each change after the verdict")
    causes_budget: PositiveInt = Field(
        60, le=1000, description="hypotheses at most for the cause of one change, where a request names no number"
    )
    causes_seconds: PositiveFloat = Field(
        600.0, description="how long `tfbisect run` looks for causes after its verdict; `tfbisect why` goes on"
    )
    false_alarm_rate: float = Field(
        0.01, gt=0, lt=0.5, description="accepted probability of reporting a change that is not one"
    )
    miss_rate: float = Field(0.02, gt=0, lt=0.5, description="accepted probability of taking a change for noise")
    confirmations: int = Field(
        4, ge=1, le=15, description="agreeing answers needed on each side of a change, from two processes in turn"
    )

    patience_seconds: PositiveFloat = Field(
        300.0, description="how long to wait for an engine, an index or a database that does not respond"
    )
    timeout_seconds: PositiveFloat = Field(180.0, description="time limit of one run, framework import included")
    memory_bytes: PositiveInt = Field(3 * GIB, description="memory limit of one run, swap included")
    cpus: PositiveFloat = Field(1.0, description="CPUs of one run")
    pids: PositiveInt = Field(512, description="processes and threads of one run")
    tmpfs_bytes: PositiveInt = Field(256 * MIB, description="size of /tmp, the only place where a run can write")
    output_bytes: PositiveInt = Field(256 * 1024, description="how much of a run's output is kept")
    flood_bytes: PositiveInt = Field(64 * MIB, description="size of output at which a run is stopped")
    project_bytes: PositiveInt = Field(
        16 * MIB, description="size of all files that one request may bring: a project, or files beside the script"
    )
    project_files: PositiveInt = Field(2000, le=20_000, description="how many files one request may bring")
    warm_pool_bytes: int = Field(
        0, ge=0, description="memory for releases kept ready for any request, framework imported; 0: none"
    )
    waiting_bytes: int = Field(
        2 * GIB, ge=0, description="memory for finished runs that are kept for further requests; 0: none are kept"
    )
    warm_runs: int = Field(
        2, ge=0, le=64, description="how many runs are started in advance, framework imported; 0: none"
    )
    scheduler: str = Field(
        "", description="address of a Dask scheduler whose workers do the runs; empty: this process does them"
    )
    dashboard_url: str = Field(
        "", description="address of the scheduler's pages, which the web service links to; empty: no link"
    )
    tls_ca: Path | None = Field(None, description="certificate of the authority that scheduler and workers trust")
    tls_certificate: Path | None = Field(None, description="certificate of this process among scheduler and workers")
    tls_key: Path | None = Field(None, description="private key of tls_certificate")
    gpus: int = Field(
        0, ge=0, le=64, description="how many runs use an accelerator at once; 0: this machine has no accelerator"
    )
    gpu_devices: int = Field(1, ge=-1, description="number of accelerators for one run; -1: all")
    gpu_runtime: str = Field("", description="the engine's runtime for accelerators, such as nvidia")
    gpu_memory_bytes: PositiveInt = Field(8 * GIB, description="main memory limit of one run on an accelerator")
    container_runtime: str = Field("", description="the engine's runtime, such as runsc; empty: its default")
    system_calls: Literal["narrow", "engine"] = Field(
        "narrow", description="system calls that runs may make: narrow: tfbisect's own list; engine: the engine's list"
    )
    disk_reserve_bytes: PositiveInt = Field(4 * GIB, description="free disk below which no image is built")

    public_url: str = Field(
        "", description="address at which users reach the web service; empty: taken from each request"
    )
    allowed_hosts: str = Field(
        "", description="host names of the web service besides localhost and IP addresses, comma-separated; *: any"
    )
    trusted_proxies: str = Field(
        "",
        description="proxies whose X-Forwarded-For and -Proto are trusted, as addresses or networks, comma-separated; "
        "empty: none",
    )
    require_token: bool = Field(False, description="require a token for every request (`tfbisect tokens create`)")
    anonymous_read: bool = Field(False, description="with require_token: public bisections can be read without a token")
    body_bytes: PositiveInt = Field(256 * 1024, description="largest request body of the web service, projects apart")
    submissions_per_minute: PositiveInt = Field(60, description="submissions per token or address")
    submissions_per_hour: PositiveInt = Field(600, description="submissions per token or address")
    estimates_per_minute: PositiveInt = Field(120, description="estimates per token or address")
    queued_at_most: PositiveInt = Field(
        500, description="how many bisections may be queued; further submissions are refused with 429"
    )
    streams_per_client: PositiveInt = Field(100, description="event streams open at once per token or address")

    watches_dir: Path | None = Field(None, description="folder of watch files; empty: none")
    nightly_cron: str = Field(
        "", description="when `tfbisect serve` makes its nightly pass, such as `30 3 * * *`; empty: never"
    )
    nightly_timezone: str = Field("UTC", description="time zone of nightly_cron, such as Europe/Berlin")
    nightly_seconds: PositiveFloat = Field(6 * 3600.0, description="time limit of one nightly pass")
    nightly_free_bytes: int = Field(
        0, ge=0, description="free disk below which a nightly pass starts no further bisection"
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="key that webhooks are signed with; empty: none are sent"
    )
    smtp_url: SecretUrl = Field(
        SecretUrl(""), description="mail server: smtp://user:password@host:587, or smtps://…; empty: no mail is sent"
    )
    mail_from: str = Field("tfbisect@localhost", description="sender of mail")
    inner_addresses: bool = Field(
        False, description="allow watches added by the API to notify addresses of the inner network"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment, then the files of TFBISECT_SECRETS_DIR, named like settings."""
        folder = Path(os.environ.get("TFBISECT_SECRETS_DIR") or "/nonexistent")
        secrets = (SecretsSettingsSource(settings_cls, secrets_dir=folder),) if folder.is_dir() else ()
        return (init_settings, env_settings, *secrets)

    @field_validator("public_url", "dashboard_url", "registry", "image_registry", "python_image", "scheduler")
    @classmethod
    def _holds_no_password(cls, value: str) -> str:
        """Refuse a user and a password where they would only be shown and never used."""
        if "@" in re.sub(r"@sha256:[0-9a-f]+$", "", value):
            raise ValueError(
                "no user and password can stand here: links show the public URL to everybody, a Dask scheduler knows "
                "none, and at a registry the engine signs in by itself, after `docker login`"
            )
        return value

    @property
    def store_url(self) -> SecretUrl:
        return self.database_url or SecretUrl(f"sqlite:///{self.data_dir / 'tfbisect.sqlite3'}")

    @property
    def project_bounds(self) -> tuple[int, int]:
        """Return how many bytes and files one project may have; half of a run's room is left to the run."""
        return min(self.project_bytes, self.tmpfs_bytes // 2), self.project_files

    @property
    def download_dir(self) -> Path:
        """Return where downloaded packages are kept."""
        return self.cache_dir or self.data_dir / "packages"

    @cached_property
    def workers(self) -> int:
        return self.parallel or os.cpu_count() or 1

"""The schemas of the REST API, for its documentation and for validation."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from service.coordination.intake import BisectionRequest
from service.web.api.examples import (
    BISECTION,
    COMPARISON,
    ESTIMATE,
    LINKS,
    OBSERVATION,
    PROBE,
    RELEASES,
    SUMMARY,
    ULID,
)

ULID_PATTERN = r"^[0-9A-HJKMNP-TV-Z]{26}$"
WORD = r"^[^\x00]*$"
"""No NUL: PostgreSQL takes none."""
TUTORIAL = (
    "import tensorflow as tf\n\n"
    "model = tf.keras.models.Sequential([\n"
    "    tf.keras.layers.Flatten(),\n"
    "    tf.keras.layers.Dense(512, activation=tf.nn.relu),\n"
    "    tf.keras.layers.Dropout(0.2),\n"
    "    tf.keras.layers.Dense(10, activation=tf.nn.softmax),\n"
    "])\n"
    "model.compile(optimizer='adam', loss='sparse_categorical_crossentropy')\n"
)
EXAMPLE_REQUEST: JsonDict = {"snippet": TUTORIAL, "releases": "1.9..1.14", "input_shape": [28, 28]}


class SubmissionBody(BisectionRequest):
    """A request to bisect, as it is sent; only `snippet` is required."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE_REQUEST]})

    visibility: Literal["public", "private"] = Field(
        "public", description="private: only the token that sent it, and admins, can read it"
    )

    def request(self) -> BisectionRequest:
        """Return what is asked, without who may read it."""
        return BisectionRequest.model_validate(self.model_dump(exclude={"visibility"}))


FIELDS = frozenset(field.alias or name for name, field in SubmissionBody.model_fields.items())
"""The names of a request's fields, for messages about one that does not exist."""


class ProjectFileBody(BaseModel):
    """One file of a project."""

    path: str = Field(examples=["tests/test_model.py"])
    bytes: int = Field(examples=[512])


class ProjectBody(BaseModel):
    """A project that was sent."""

    digest: str = Field(
        description="names it in `project` of a bisection's request",
        examples=["sha256:9fe7df76e7a591d4e4c462170357741774dba7db7fe6f4e20ebd817bb988e42a"],
    )
    files: list[ProjectFileBody]
    left_out: list[str] = Field(description="files that look like secrets and were not kept", examples=[[".env"]])


class ListQuery(BaseModel):
    """What to list. Empty fields do not narrow."""

    limit: int = Field(20, ge=1, le=100, description="bisections per page")
    cursor: str | None = Field(None, pattern=ULID_PATTERN, description="`next` of the page before")
    status: Literal["queued", "running", "done", "failed", "cancelled"] | None = Field(None, description="only these")
    probe: str | None = Field(None, max_length=64, pattern=WORD, description="only of this probe")
    package: str | None = Field(None, max_length=128, pattern=WORD, description="only of this package")
    q: str = Field("", max_length=200, pattern=WORD, description="words that all stand in the snippet")
    outcome: str | None = Field(None, max_length=128, pattern=WORD, description="an outcome that occurs")
    changed_in: str | None = Field(None, max_length=64, pattern=WORD, description="a release that a change landed on")


class FieldFaultBody(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="path of the field", examples=["releases"])
    pointer: str = Field(description="the same as a JSON pointer", examples=["/releases"])
    detail: str
    line: int | None = Field(None, description="line of the snippet, from 1")


class ProblemBody(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(examples=["urn:tfbisect:problem:range-error"])
    title: str = Field(examples=["Range not usable"])
    status: int = Field(examples=[422])
    detail: str = Field("", examples=["2.3.0 is newer than 1.14.0; swap the ends."])
    errors: list[FieldFaultBody] = Field(default_factory=list)


class LinksBody(BaseModel):
    """Where else a bisection can be read."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [LINKS]})

    self: str
    events: str
    cancel: str
    page: str
    report: str
    badge: str
    csv: str
    snippet: str


class SummaryBody(BaseModel):
    """A bisection as a list shows it."""

    model_config = ConfigDict(json_schema_extra={"examples": [SUMMARY]})

    id: str = Field(examples=[ULID])
    status: Literal["queued", "running", "done", "failed", "cancelled"]
    created_at: str = Field(examples=["2026-11-23T09:15:00.000Z"])
    started_at: str | None
    finished_at: str | None
    package: str = Field(examples=["tensorflow"])
    probe: str = Field(examples=["dropout"])
    snippet: str = Field(description="digest of the source", examples=["sha256:…"])
    visibility: Literal["public", "private"]
    links: LinksBody
    summary: str | None = Field(None, description="the verdict in one line; in lists")


class ProgressBody(BaseModel):
    """How far a bisection is."""

    runs_done: int
    runs_planned_at_least: int
    current: list[str] = Field(description="releases that run now")
    problem: str | None = Field(None, description="what is away and waited for; left out where nothing is")


class ObservationBody(BaseModel):
    """One run of one release."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [OBSERVATION]})

    id: str
    release: str = Field(examples=["1.11.0"])
    variant: str = Field(description='"" for the snippet itself')
    repeat: int
    reused: bool = Field(description="answered by a stored run")
    answer: Literal["outcome", "untestable", "refused", "lost"]
    outcome: str | None = Field(examples=["never-drops"])
    reason: str = Field(description="why there is no outcome, or what the outcome rests on")
    measurements: dict[str, Any]
    python: str
    runner: str
    seconds: dict[str, float]


class BisectionBody(SummaryBody):
    """A bisection."""

    model_config = ConfigDict(json_schema_extra={"examples": [BISECTION]})

    request: dict[str, Any]
    progress: ProgressBody
    observations: list[ObservationBody]
    verdict: dict[str, Any] | None = Field(description="schema tfbisect/verdict/1; null until there is one")
    error: dict[str, Any] | None = Field(description="why it failed")


class PageBody(BaseModel):
    """A page of bisections, newest first."""

    items: list[SummaryBody]
    next: str | None = Field(description="cursor of the next page; null on the last one")


class ReleaseBody(BaseModel):
    """A release of a package."""

    release: str = Field(examples=["1.12.0"])
    uploaded_at: str
    pythons: list[str] = Field(examples=[["2.7", "3.6"]])
    bytes: int
    yanked: bool
    gone: bool = Field(description="the index lists it no more")


class ReleasesBody(BaseModel):
    """The releases of a package, in version order."""

    model_config = ConfigDict(json_schema_extra={"examples": [RELEASES]})

    package: str
    as_of: str | None = Field(description="when the package index gave this list")
    problem: str = Field(
        description="what was wrong with the index when it was last asked: the list is the last good one; else empty"
    )
    mainline: list[str] = Field(description="the first release of each minor")
    items: list[ReleaseBody]


class ProbeBody(BaseModel):
    """A probe."""

    model_config = ConfigDict(json_schema_extra={"examples": [PROBE]})

    name: str = Field(examples=["dropout"])
    title: str
    question: str
    outcomes: dict[str, str] = Field(description="label -> what it means")
    expected: list[str]
    parameters: dict[str, Any]
    releases: str = Field(description="those that it fits", examples=["1.4.."])
    packages: list[str] = Field(description="those that it fits, where not any package does")
    any_package: bool
    digest: str


class ProbesBody(BaseModel):
    """The probes that are installed."""

    items: list[ProbeBody]


class SideBody(BaseModel):
    """One release in two bisections."""

    release: str
    left: str | None
    right: str | None
    differs: bool


class ComparisonBody(BaseModel):
    """Two bisections side by side."""

    model_config = ConfigDict(json_schema_extra={"examples": [COMPARISON]})

    left: SummaryBody
    right: SummaryBody
    same: bool = Field(description="no release that both know behaves differently, and the changes are the same")
    releases: list[SideBody]
    changes: dict[str, list[dict[str, Any]]] = Field(description="`both`, `left`, `right`: changes found by each")


class HealthBody(BaseModel):
    """Alive, or ready."""

    status: Literal["ok"]


class EstimateBody(BaseModel):
    """What a bisection would cost."""

    model_config = ConfigDict(json_schema_extra={"examples": [ESTIMATE]})

    releases: int = Field(description="releases it is about")
    runs: int = Field(description="runs where nothing changes; a stored answer costs nothing")
    runs_with_changes: int = Field(description="runs where the behaviour is lost once and comes back")
    images_to_build: int
    disk_bytes: int = Field(description="of the images to build, from the sizes of the wheels")
    seconds: float = Field(description="rough wall clock")

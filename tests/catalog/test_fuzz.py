"""The catalog and the recipes against anything: an index, a package or a file of rules may say what it likes."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.version import Version

from service.catalog import releases as catalog_releases
from service.catalog.index_pages import JSON_TYPE, IndexPage, files_on
from service.catalog.ranges import absent, parse_releases, select
from service.catalog.recipes import Rules, load_rules, official_image, recipe_for, slim_package, source_of
from service.catalog.releases import Catalog, CatalogRelease, package_name, releases_of
from service.catalog.targets import Hardware, Target
from service.errors import BadInput, TfbisectError, UnknownName
from service.resources import resource_dir
from service.settings import Settings
from tests.catalog.odd_index import page
from tests.catalog.worlds import MemoryCache, wheel
from tests.fuzzing import unhurried, within_budget

VERSIONS = [f"1.{minor}.0" for minor in range(6)]
HONEST = [wheel(f"demo-{version}-py3-none-any.whl") for version in VERSIONS]
ADDRESS = "https://index.example/simple/demo/"
three_seconds = partial(within_budget, share=0.6)

ODD_TEXTS = st.sampled_from(
    [
        "",
        "\x00",
        "\ud800",
        "9" * 400,
        ">=3.6",
        "==*",
        ">=",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        "demo-9.0-py3-none-any.whl",
        "demo-1!2.0.post3.dev4+local-cp36.cp399-abi3-manylinux_2_99_x86_64.whl",
        "demo-" + "9" * 280 + "-py3-none-any.whl",
        "demo--1-py3-none-any.whl",
        "demo-1.0.tar.gz",
        "https://[::1",
        "//\x00",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([10**400, -1, 2**63]) | st.floats() | ODD_TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ODD_TEXTS, inner, max_size=2),
    max_leaves=4,
)
FIELDS = st.sampled_from(
    ["filename", "url", "hashes", "upload-time", "size", "yanked", "requires-python", "core-metadata", "gpg-sig"]
)
ODD_FILES = st.builds(
    lambda file, changes: {**file, **changes}, st.sampled_from(HONEST), st.dictionaries(FIELDS, VALUES, max_size=3)
)
LISTS = st.lists(st.sampled_from(HONEST) | ODD_FILES | VALUES, max_size=8)
JSON_PAGES = st.one_of(
    LISTS.map(page),
    ODD_FILES.map(lambda file: page([*HONEST, file])),
    st.tuples(st.sampled_from(["meta", "name", "versions", "files", "project-status"]), VALUES).map(
        lambda changed: json.dumps({**json.loads(page(HONEST)), changed[0]: changed[1]}).encode()
    ),
    st.tuples(st.integers(0, 900), st.binary(max_size=4)).map(
        lambda cut: page(HONEST)[: cut[0]] + cut[1] + page(HONEST)[cut[0] + 1 :]
    ),
    VALUES.map(lambda value: json.dumps(value).encode()),
)
PIECES = [
    "<a href='/demo-1.3.0-py3-none-any.whl'>demo-1.3.0-py3-none-any.whl</a>",
    "<a href='https://[::1'",
    " data-yanked=''",
    " data-requires-python='&gt;=3.6,&lt;'",
    " data-core-metadata='sha256=xyz'",
    ">demo-1.4.0-cp36-cp36m-manylinux1_x86_64.whl</a>",
    "<base href='\x00'>",
    "<meta name='pypi:repository-version' content='99.1'>",
    "<!--",
    "]]>",
    "<p>",
    "\ufffe",
]
HTML_PAGES = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=12).map(
    lambda pieces: "".join(pieces).encode("utf-8", "surrogatepass")
)
CHARSETS = st.sampled_from([None, "utf-8", "utf-16", "utf-7", "idna", "rot13", "no such", "\x00", "undefined"])
PAGES = st.builds(IndexPage, st.just(ADDRESS), st.just(JSON_TYPE), st.none(), JSON_PAGES) | st.builds(
    IndexPage, st.sampled_from([ADDRESS, "https://[::1"]), st.just("text/html"), CHARSETS, HTML_PAGES
)


@cache
def shipped_rules() -> Rules:
    return load_rules(resource_dir("images") / "recipes.toml")


def names(error: TfbisectError, what: str) -> None:
    """Check that an error says what it is about."""
    assert what in error.message


def asked(catalog: Catalog, answer: IndexPage) -> tuple[CatalogRelease, ...]:
    """Ask a catalog while its index answers with a page."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(catalog_releases, "listed_files", lambda *_: files_on(answer, "demo"))
        return catalog.releases("demo")


def can_be_used(found: tuple[CatalogRelease, ...]) -> None:
    """Check that nothing else breaks on what the index said of releases."""
    assert [Version(one.version) for one in found] == sorted(Version(one.version) for one in found)
    for text in ("0..", "1.0..1.3", "1"):
        with suppress(BadInput):
            select(parse_releases(text), found)
        absent(parse_releases(text), found)
    for one in found:
        with suppress(TfbisectError):
            recipe_for(Target("demo", one.version), one, shipped_rules())


@unhurried
@given(answer=PAGES)
@example(answer=IndexPage(ADDRESS, JSON_TYPE, None, b"[" * 100_000))
@example(answer=IndexPage(ADDRESS, "text/html", None, b"<p>" * 20_000))
@three_seconds
def test_no_page_of_an_index_loses_a_release_or_breaks_who_reads_it(answer: IndexPage) -> None:
    cached = MemoryCache()
    catalog = Catalog(cached, Settings(catalog_max_age_seconds=1e-9))
    known = asked(catalog, IndexPage(ADDRESS, JSON_TYPE, None, page(HONEST)))
    assert [one.version for one in known] == VERSIONS
    found = asked(catalog, answer)
    assert {one.version for one in found} >= set(VERSIONS)
    assert sum(one.gone for one in found) * 2 <= len(VERSIONS)
    assert catalog.at_rest().releases("demo") == found
    can_be_used(found)


@unhurried
@given(answer=PAGES)
@three_seconds
def test_a_page_about_what_is_not_known_is_a_list_or_an_error_of_ours(answer: IndexPage) -> None:
    catalog = Catalog(MemoryCache(), Settings())
    try:
        found = asked(catalog, answer)
    except TfbisectError as error:
        names(error, "demo")
    else:
        assert found == releases_of(files_on(answer, "demo"))
        can_be_used(found)


NUMBERS = st.integers(0, 30) | st.sampled_from([0, 1, 2018, 20260901, 2**63])
RELEASES = st.builds(
    lambda epoch, numbers, end: f"{epoch}{'.'.join(map(str, numbers))}{end}",
    st.sampled_from(["", "1!"]),
    st.lists(NUMBERS, min_size=1, max_size=5),
    st.sampled_from(["", "rc0", ".dev20260901", ".post1", "a1.post2.dev3", "+cpu.1"]),
)
NAMES = st.sampled_from(["tensorflow", "tf-nightly", "TensorFlow", "keras", "torch", "numpy", "a", "{package}"])
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)) | st.just(  # noqa: DTZ001
    catalog_releases.NO_DATE
)
PYTHONS = st.lists(
    st.sampled_from(["2.7", "3.5", "3.6", "3.8", "3.10", "3.12", "3", "3.99"]), max_size=4, unique=True
).map(tuple)


@unhurried
@given(
    name=NAMES | st.text(max_size=10),
    version=RELEASES,
    hardware=st.sampled_from(["cpu", "cuda"]),
    uploaded=MOMENTS,
    pythons=PYTHONS,
    requires=st.sampled_from(["", ">=3.6", "<3", "no such", "==*"]),
)
@three_seconds
def test_any_release_of_any_package_has_a_recipe_or_the_reason_why_not(
    name: str, version: str, hardware: Hardware, uploaded: datetime, pythons: tuple[str, ...], requires: str
) -> None:
    rules = shipped_rules()
    release = CatalogRelease(str(Version(version)), uploaded, pythons, 0, requires)
    try:
        target = Target(package_name(name), release.version, hardware)
        slim = slim_package(target, rules)
        recipe = recipe_for(target, release, rules, release if slim else None)
    except TfbisectError as error:
        names(error, "package" if isinstance(error, UnknownName) else release.version)
        return
    assert (source_of(target, rules) == "built") or official_image(target, rules)
    assert release.accepts(recipe.python)
    assert recipe.cutoff > uploaded
    wanted = Requirement(recipe.requirement)
    assert wanted.name == (slim or target.package)
    assert wanted.specifier.contains(release.version, prereleases=True)
    for text in (*recipe.constraints, *recipe.extras):
        Requirement(text)
    assert recipe.digest == recipe_for(target, release, rules, release if slim else None).digest


KEYS = [
    "packages",
    "releases",
    "uploaded_before",
    "hardware",
    "requirement",
    "slim",
    "module",
    "pythons",
    "margin_days",
    "not_before",
    "platform",
    "unpack",
    "exempt",
    "constraints",
    "extras",
    "source",
    "odd",
]
WRITTEN = st.sampled_from(
    [
        '["demo"]',
        '["Demo"]',
        '["*"]',
        "[]",
        '""',
        '"x"',
        '">=1.0,<2"',
        '"{package}=={release}"',
        '"{package.__class__}"',
        '"{0}"',
        '"{"',
        '["{keras!r:>9}"]',
        '["keras~={keras}"]',
        '["3.10"]',
        '["three"]',
        '"cpu"',
        "7",
        "-7",
        "9999999999999",
        "2021-10-04",
        "9999-12-31",
        "true",
        "nan",
        '{ setuptools = "2022-01-01" }',
        "{ a = 1e400 }",
        "[" * 3000,
    ]
)
TABLES = st.lists(st.tuples(st.sampled_from(KEYS), WRITTEN), max_size=5, unique_by=lambda pair: pair[0]).map(
    lambda pairs: "\n".join(f"{key} = {value}" for key, value in pairs) + "\n"
)
WORKING = '[[rule]]\npackages = ["*"]\nrequirement = "{package}=={release}"\npythons = ["3.10"]\n'
DEFAULTS = '[defaults]\nmargin_days = 7\nplatform = "linux"\n'
FILES = st.one_of(
    st.lists(TABLES, max_size=3).map(
        lambda tables: DEFAULTS + WORKING + "".join(f'[[rule]]\npackages = ["demo"]\n{table}' for table in tables)
    ),
    st.lists(TABLES, max_size=3).map(lambda tables: DEFAULTS + "".join(f"[[rule]]\n{table}" for table in tables)),
    TABLES.map(lambda table: f"[defaults]\n{table}{WORKING}"),
    TABLES.map(lambda table: f"{DEFAULTS}{WORKING}[[official]]\npackages = ['demo']\ncpu = 'x'\ncuda = 'x'\n{table}"),
    TABLES,
    st.text(max_size=40),
).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=40)


def plain_use(rules: Rules) -> Any:
    release = CatalogRelease("1.5.0", datetime(2020, 1, 1, tzinfo=UTC), ("3.10",), 0)
    target = Target("demo", release.version)
    official_image(target, rules), source_of(target, rules), slim_package(target, rules)
    return recipe_for(target, release, rules).digest


@unhurried
@given(written=FILES)
@example(written=b"[defaults]\n")
@example(written=(DEFAULTS + WORKING.replace("{package}", "{package!r}")).encode())
@example(written=(DEFAULTS + WORKING + 'releases = "newest"\n').encode())
@example(written=(DEFAULTS + WORKING + "margin_days = 99999999\n").encode())
@three_seconds
def test_any_file_of_rules_is_used_or_refused_with_its_name(written: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "recipes.toml"
        path.write_bytes(written)
        try:
            rules = load_rules(path)
        except BadInput as error:
            names(error, "recipes.toml")
            return
    try:
        assert plain_use(rules).startswith("sha256:")
    except TfbisectError as error:
        names(error, "demo")

"""Recipes: how a release is installed, from rules by release range. Pure, except for reading the rules."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from string import Formatter
from typing import Annotated, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from service.bisection.releases import minor_of
from service.catalog.releases import NO_DATE, CatalogRelease
from service.catalog.targets import Hardware, ImageSource, Target
from service.errors import BadInput, NoInterpreter, ReleaseUntestable, UnknownName
from service.json_text import digest_of

LATER = frozenset({"extras", "libraries", "unpack", "only_wheels", "image"})
"""Fields that are newer than the first stored observations."""
OFFICIAL_MODULE = "tensorflow"
"""What every official image imports; the rules name images of this project only."""
ANY = "*"
"""Stands for every package among a rule's packages."""


def _is_range(text: str) -> str:
    """Refuse text that is not a range of releases."""
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        raise ValueError(f"{text!r} is not a range of releases; write one such as >=2.1.dev0,<2.8.dev0") from error
    return text


def _is_package(text: str) -> str:
    """Refuse a name that matches no package."""
    if text != ANY and text != canonicalize_name(text):
        raise ValueError(f"{text!r} is not a name as the index spells it; write {canonicalize_name(text)!r}")
    return text


def _fills(*words: str) -> AfterValidator:
    """Refuse a text with unknown placeholders."""

    def check(text: str) -> str:
        for _, word, form, conversion in Formatter().parse(text):
            if word is not None and (word not in words or form or conversion):
                known = ", ".join(f"{{{each}}}" for each in words)
                raise ValueError(f"{text!r} has a place for {word!r}; there are {known}")
        return text

    return AfterValidator(check)


Range = Annotated[str, AfterValidator(_is_range)]
Package = Annotated[str, AfterValidator(_is_package)]
Words = Annotated[str, _fills("package", "release", "minor", "keras")]
Tag = Annotated[str, _fills("release")]
Python = Annotated[str, StringConstraints(pattern=r"^[0-9]\.[0-9]{1,3}$")]
Days = Annotated[int, Field(ge=0, le=10_000)]


class Defaults(BaseModel):
    """The defaults of all rules."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    margin_days: Days
    module: str = ""
    platform: str


class Rule(BaseModel):
    """One rule of recipes.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    packages: tuple[Package, ...]
    releases: Range = ""
    uploaded_before: date | None = None
    hardware: Hardware | None = None
    requirement: Words | None = None
    slim: Package | None = None
    module: str | None = None
    pythons: tuple[Python, ...] | None = None
    margin_days: Days | None = None
    not_before: date | None = None
    platform: str | None = None
    unpack: bool | None = None
    only_wheels: bool | None = None
    exempt: Mapping[str, date] | None = None
    constraints: tuple[Words, ...] = ()
    extras: tuple[Words, ...] = ()
    libraries: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    source: ImageSource | None = None

    def fits(self, target: Target, uploaded: datetime | None = None) -> bool:
        """Return whether the rule applies to a target; rules with a date need the target's date."""
        in_time = self.uploaded_before is None or (uploaded is not None and uploaded.date() < self.uploaded_before)
        return (
            in_time
            and not {ANY, canonicalize_name(target.package)}.isdisjoint(self.packages)
            and self.hardware in (None, target.hardware)
            and SpecifierSet(self.releases).contains(target.release, prereleases=True)
        )


class OfficialRule(BaseModel):
    """Tags of the project's own images, for a range."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    packages: tuple[Package, ...]
    releases: Range = ""
    cpu: Tag
    cuda: Tag


class Metadata(BaseModel):
    """What a package requires, where its own metadata cannot be read by installers of today."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    package: Package
    before: date
    """For environments as of an earlier day."""
    requires: tuple[str, ...]


class RulesFile(BaseModel):
    """The content of recipes.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    defaults: Defaults
    rule: tuple[Rule, ...]
    official: tuple[OfficialRule, ...] = ()
    metadata: tuple[Metadata, ...] = ()


@dataclass(frozen=True)
class Rules:
    """All rules, in the order of the file."""

    defaults: Defaults
    rules: tuple[Rule, ...]
    official: tuple[OfficialRule, ...] = ()
    metadata: tuple[Metadata, ...] = ()

    def metadata_as_of(self, cutoff: datetime) -> dict[str, tuple[str, ...]]:
        """Return what packages of a day require whose own metadata cannot be read, by name."""
        return {each.package: each.requires for each in self.metadata if cutoff.date() < each.before}

    @property
    def packages(self) -> frozenset[str]:
        """Packages that have rules of their own."""
        return frozenset(package for rule in self.rules for package in rule.packages) - {ANY}

    def without_any(self) -> Rules:
        """Return the rules without those for any package."""
        return replace(self, rules=tuple(rule for rule in self.rules if ANY not in rule.packages))

    @property
    def wheels(self) -> frozenset[str]:
        """Packages whose wheels these rules install, the slim ones included."""
        return self.packages | {rule.slim for rule in self.rules if rule.slim}


@dataclass(frozen=True)
class Recipe:
    """How one release is installed."""

    python: str
    """The interpreter's minor, such as "3.6"."""
    requirement: str
    module: str
    """The module that an image must be able to import; "" if unknown."""
    cutoff: datetime
    """Nothing uploaded later is installed, UTC, except `exempt`."""
    platform: str
    constraints: tuple[str, ...] = ()
    exempt: Mapping[str, str] = field(default_factory=dict)
    """Package -> ISO date: a cutoff of its own."""
    leave_out: tuple[str, ...] = ()
    """Patterns of paths that are removed from the image."""
    extras: tuple[str, ...] = ()
    """Further requirements."""
    libraries: tuple[str, ...] = ()
    """Shared libraries that the release opens when it finds a device."""
    unpack: bool = False
    """Whether the release's wheel is unzipped, because installers refuse it."""
    only_wheels: bool = False
    """Whether source packages are refused: building one would run its code outside of a container."""
    image: str = ""
    """Digest of the official image, which is used as it is; then `requirement` is its name."""

    @property
    def digest(self) -> str:
        """The recipe's content as "sha256:…"."""
        facts = {**asdict(self), "cutoff": self.cutoff.isoformat()}
        # Unused fields must not change the digest: observations depend on it.
        return digest_of({name: value for name, value in facts.items() if name not in LATER or value})


def load_rules(path: Path) -> Rules:
    """Read recipes.toml.

    Raises:
        BadInput: it cannot be read, or a rule has a key or a value that it must not have.
    """
    try:
        file = RulesFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise BadInput(f"{path}: {place}: {first['msg']}; mend the rule.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{path} cannot be read as TOML: {error}; mend the file.") from error
    return Rules(file.defaults, file.rule, file.official, file.metadata)


def recipe_for(target: Target, release: CatalogRelease, rules: Rules, slim: CatalogRelease | None = None) -> Recipe:
    """Return how a release is installed for a hardware.

    Args:
        target: package, release and hardware.
        release: what the catalog says of it.
        rules: the rules of recipes.toml.
        slim: the release of the rules' slim package with the same version, where there is one (see `slim_package`).

    Raises:
        UnknownName: no rule names the package on that hardware.
        NoInterpreter: the wheels accept none of the interpreters that the rules name.
        ReleaseUntestable: the index does not say when the release came.
    """
    settled = _settled(target, rules, release.uploaded)
    wheels = slim or release
    words = {
        "package": settled["slim"] if slim else target.package,
        "release": target.release,
        "minor": minor_of(target.release),
        "keras": _keras_floor(target.release),
    }
    return Recipe(
        python=_first_accepted(target, wheels, settled["pythons"]),
        requirement=settled["requirement"].format(**words),
        module=settled["module"],
        cutoff=_cutoff(target, settled, release, wheels),
        platform=settled["platform"],
        constraints=tuple(constraint.format(**words) for constraint in settled["constraints"]),
        exempt={name: day.isoformat() for name, day in (settled.get("exempt") or {}).items()},
        leave_out=settled["leave_out"],
        extras=tuple(extra.format(**words) for extra in settled["extras"]),
        libraries=settled["libraries"],
        unpack=settled.get("unpack", False),
        only_wheels=settled.get("only_wheels", False),
    )


def held_recipe(recipe: Recipe, target: Target, wheels: CatalogRelease) -> Recipe:
    """Return a recipe with what its target holds.

    Args:
        recipe: the release's own.
        target: says what is held.
        wheels: what the catalog says of the wheels that are installed.

    Raises:
        NoInterpreter: the wheels do not accept the interpreter that is asked for.
    """
    hold = target.hold
    if not hold:
        return recipe
    if hold.python and not wheels.accepts(hold.python):
        raise NoInterpreter(
            f"{target.package} {target.release} has no wheel for Python {hold.python}, only for "
            f"{', '.join(wheels.pythons)}."
        )
    cutoff = datetime.fromisoformat(hold.as_of) if hold.as_of else recipe.cutoff
    # The release itself may be newer than the day that its dependencies are taken as of.
    exempt = dict(recipe.exempt)
    if cutoff < recipe.cutoff:
        own = canonicalize_name(recipe.requirement.partition("=")[0].partition("[")[0])
        exempt[own] = _day_after(recipe.cutoff)
    return replace(
        recipe,
        python=hold.python or recipe.python,
        cutoff=cutoff,
        exempt=exempt,
        constraints=(*recipe.constraints, *hold.pins),
    )


def _day_after(moment: datetime) -> str:
    return (moment + timedelta(days=1)).date().isoformat()


def slim_package(target: Target, rules: Rules) -> str | None:
    """Return the package that may have the same release in a smaller wheel, by the rules."""
    name: str | None = _settled(target, rules).get("slim")
    return name


def official_image(target: Target, rules: Rules) -> str | None:
    """Return the tag of the project's own image of a release, by the rules; None where no rule fits."""
    for rule in rules.official:
        fits = SpecifierSet(rule.releases).contains(target.release, prereleases=True)
        if canonicalize_name(target.package) in rule.packages and fits:
            template = rule.cuda if target.hardware == "cuda" else rule.cpu
            return template.format(release=target.release)
    return None


def source_of(target: Target, rules: Rules, usual: ImageSource = "built") -> ImageSource:
    """Return where a target's image comes from: as the rules demand, else as it asks, else as the settings say.

    Args:
        target: may ask for a source.
        rules: name the official images, and the targets that cannot be built.
        usual: the source of a target that asks for none.
    """
    if any(rule.source == "official" and rule.fits(target) for rule in rules.rules):
        return "official"
    if target.source is not None:
        return target.source
    return usual if official_image(target, rules) else "built"


def official_recipe(name: str, digest: str, release: CatalogRelease) -> Recipe:
    """Return the recipe of an official image: nothing is installed.

    Args:
        name: repository and tag, without a registry.
        digest: "sha256:…" of what the tag stands for.
        release: what the catalog says of it.
    """
    return Recipe(
        python="", requirement=name, module=OFFICIAL_MODULE, cutoff=release.uploaded, platform="", image=digest
    )


def _settled(target: Target, rules: Rules, uploaded: datetime | None = None) -> dict[str, Any]:
    """Merge the rules that apply, later ones over earlier ones."""
    fitting = [rule for rule in rules.rules if rule.fits(target, uploaded)]
    if not any(rule.requirement for rule in fitting) or not any(rule.pythons for rule in fitting):
        raise UnknownName(
            f"no recipe for {target.package} on {target.hardware}; choose other hardware or another package "
            "(with rules: "
            f"{', '.join(sorted(rules.packages))}), or add a rule to images/recipes.toml.",
            field="package",
        )
    settled: dict[str, Any] = rules.defaults.model_dump()
    for rule in fitting:
        chosen = rule.model_dump(exclude_none=True, exclude_unset=True, exclude={"packages", "releases", "hardware"})
        settled.update(chosen)
    settled["constraints"] = _gathered(fitting, lambda rule: rule.constraints)
    settled["leave_out"] = _gathered(fitting, lambda rule: rule.leave_out)
    for name in ("extras", "libraries"):
        settled.setdefault(name, ())
    return settled


def _cutoff(target: Target, settled: Mapping[str, Any], release: CatalogRelease, wheels: CatalogRelease) -> datetime:
    """Return the date as of which dependencies are resolved."""
    uploaded = max(release.uploaded, wheels.uploaded)
    if uploaded == NO_DATE:
        # Nor would uv take a wheel without a date where it is told to take none that is newer than a day.
        raise ReleaseUntestable(
            f"the package index gives no upload date for {target.package} {target.release}, so its dependencies cannot "
            "be taken as of that time; set TFBISECT_INDEX_URL to an index that gives upload times."
        )
    cutoff = uploaded + timedelta(days=settled["margin_days"])
    earliest = settled.get("not_before")
    return max(cutoff, datetime.combine(earliest, time(), UTC)) if earliest else cutoff


def _gathered(rules: Iterable[Rule], part: Callable[[Rule], Sequence[str]]) -> tuple[str, ...]:
    """Join a list field of several rules, each item once."""
    return tuple(dict.fromkeys(item for rule in rules for item in part(rule)))


def accepted_pythons(target: Target, wheels: CatalogRelease, rules: Rules) -> tuple[str, ...]:
    """Return the interpreters that a release can have, the one of its recipe first."""
    pythons: Sequence[str] = _settled(target, rules, wheels.uploaded)["pythons"]
    return tuple(python for python in pythons if wheels.accepts(python))


def _first_accepted(target: Target, wheels: CatalogRelease, pythons: Iterable[str]) -> str:
    """Return the first interpreter that the wheels accept."""
    for python in pythons:
        if wheels.accepts(python):
            return python
    raise NoInterpreter(
        f"{target.package} {target.release} has wheels for Python {', '.join(wheels.pythons)} only, and the recipes "
        f"know {', '.join(pythons)}; add a rule to images/recipes.toml."
    )


def _keras_floor(release: str) -> str:
    """Return the oldest Keras of a release's minor: candidates are let in only for a candidate."""
    return f"{minor_of(release)}.0{'rc0' if Version(release).is_prerelease else ''}"

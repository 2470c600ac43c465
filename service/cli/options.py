"""The options that several commands share, each declared once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from service.bisection.policy import Branches
from service.catalog.targets import Hardware, ImageSource
from service.cli.projects import Asked
from service.cli.requests import build_request, parse_additions, parse_parameters, parse_shape, parse_variants
from service.coordination.intake import BisectionRequest
from service.coordination.variants import VARIANTS

HELD = "Environment"
RELEASES, PROBE, SEARCH, MACHINE, OUTPUT = (
    "Releases",
    "Probe",
    "Search",
    "Machine",
    "Output",
)
VARIANT_HELP = "; ".join(f"{name}: {what}" for name, what in VARIANTS.items())
Words = list[str] | None
AS_NAMED = (
    *("package", "releases", "prereleases", "hardware", "image_source", "probe", "whole", "resolution", "branches"),
    *("repeats", "fresh", "complete", "why", "python", "as_of", "name"),
)
"""Options that are fields of a request as they are."""

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE|FOLDER",
        help="Python file or notebook with a model or a whole training script; - for standard input; or the folder "
        "of a project",
    ),
]
WordsArgument = Annotated[
    Words,
    typer.Argument(
        metavar="[-- ARGS]...",
        help="arguments of the script; of a folder what runs in it: `-- python main.py`, `-- pytest tests`",
    ),
]
FilesOption = Annotated[
    list[Path] | None,
    typer.Option("--file", help="data file, own module or folder that the script needs beside it; repeatable"),
]
PackageOption = Annotated[str, typer.Option(help="package whose releases are compared", rich_help_panel=RELEASES)]
ReleasesOption = Annotated[
    str,
    typer.Option(
        help="1.9..1.14 (both ends; 1.14 means every 1.14.z), 1.9.., ..2.3, >=1.9,<1.15, 1.x, latest, dates, or "
        "1.10.1,1.11.0; "
        "default: all supported releases",
        rich_help_panel=RELEASES,
    ),
]
PrereleasesOption = Annotated[
    bool, typer.Option("--prereleases", help="include release candidates and nightlies", rich_help_panel=RELEASES)
]
WithOption = Annotated[
    Words,
    typer.Option(
        "--with",
        help="package that the script needs, such as pandas or numpy==1.26.4; repeatable. What it imports or "
        "names in its PEP 723 block is added anyway",
        rich_help_panel=RELEASES,
    ),
]
RequirementsOption = Annotated[
    Path | None,
    typer.Option(help="requirements file with packages that the script needs", rich_help_panel=RELEASES),
]
ProbeOption = Annotated[
    str | None,
    typer.Option(
        help="ask one question only; `tfbisect probes` lists them; default: behaviour, which looks at everything",
        rich_help_panel=PROBE,
    ),
]
InputShapeOption = Annotated[str | None, typer.Option(help="shape of one input, such as 28,28", rich_help_panel=PROBE)]
WholeOption = Annotated[
    bool,
    typer.Option("--whole", help="train as long as the script says, not only some batches", rich_help_panel=PROBE),
]
VariantOption = Annotated[
    Words,
    typer.Option(
        help=f"also run this variant and compare; repeatable. {VARIANT_HELP}; or your own .py file",
        rich_help_panel=PROBE,
    ),
]
PatternOption = Annotated[
    str | None,
    typer.Option(help="probe script: pattern (regular expression) to find in what is printed", rich_help_panel=PROBE),
]
BadPatternOption = Annotated[
    str | None,
    typer.Option(help="probe script: the same, for a pattern that must not be found", rich_help_panel=PROBE),
]
RegressOption = Annotated[
    str | None,
    typer.Option(
        help="probe script: which answer is wrong: error (default without a pattern), success, match or no-match",
        rich_help_panel=PROBE,
    ),
]
ExpectOption = Annotated[
    Words,
    typer.Option(
        help="probe script: NAME=VALUE, the expected value of tfbisect_report(name, value); repeatable",
        rich_help_panel=PROBE,
    ),
]
ToleranceOption = Annotated[
    float | None,
    typer.Option(help="probe script: relative tolerance of numbers; default: 0.00001", rich_help_panel=PROBE),
]
JudgeByOption = Annotated[
    str | None,
    typer.Option(help="probe script: `output` compares what is printed", rich_help_panel=PROBE),
]
SetOption = Annotated[
    Words,
    typer.Option("--set", help="any other probe parameter, NAME=VALUE; repeatable", rich_help_panel=PROBE),
]
ResolutionOption = Annotated[
    int | None,
    typer.Option(
        help="find every behaviour that lasts N mainline releases; 1 measures all; default: what 25 runs allow",
        rich_help_panel=SEARCH,
    ),
]
BranchesOption = Annotated[
    Branches,
    typer.Option(
        help="patch releases to test: none, all, or tips: the newest of each minor beside a change or fault",
        rich_help_panel=SEARCH,
    ),
]
RepeatsOption = Annotated[
    int | None,
    typer.Option(help="runs per release; default: 1, and 4 on both sides of a change", rich_help_panel=SEARCH),
]
CompleteOption = Annotated[
    bool, typer.Option("--complete", help="also measure releases that could be inferred", rich_help_panel=SEARCH)
]
FreshOption = Annotated[
    bool, typer.Option("--fresh", help="ignore stored results and run everything again", rich_help_panel=SEARCH)
]
WhyOption = Annotated[
    bool,
    typer.Option(
        "--why/--no-why",
        help="where a change is found, look for its cause: dependencies, switches, definitions",
        rich_help_panel=SEARCH,
    ),
]
PythonOption = Annotated[
    str | None,
    typer.Option(help="interpreter of all releases, such as 3.10; default: by wheels and date", rich_help_panel=HELD),
]
NameOption = Annotated[
    str, typer.Option(help="what lists call it, such as the name of a model; default: the snippet's own first words")
]
AsOfOption = Annotated[
    str | None,
    typer.Option(
        help="take the dependencies of all releases as of this day, such as 2024-06-01; default: each its own day",
        rich_help_panel=HELD,
    ),
]
HardwareOption = Annotated[Hardware, typer.Option(help="cpu or cuda", rich_help_panel=MACHINE)]
ImageSourceOption = Annotated[
    ImageSource | None,
    typer.Option(help="built: from the package index; official: the project's own images", rich_help_panel=MACHINE),
]
RunnerOption = Annotated[
    str | None,
    typer.Option(
        help="docker: containers; local: virtual environments on this machine; auto: docker if available",
        rich_help_panel=MACHINE,
    ),
]
ParallelOption = Annotated[
    int | None, typer.Option(help="runs at once; default: one per core", rich_help_panel=MACHINE)
]
TimeoutOption = Annotated[float | None, typer.Option(help="time limit of one run, in seconds", rich_help_panel=MACHINE)]
JsonOption = Annotated[bool, typer.Option("--json", help="print the verdict as JSON", rich_help_panel=OUTPUT)]
QuietOption = Annotated[bool, typer.Option("--quiet", help="show no progress", rich_help_panel=OUTPUT)]

YesOption = Annotated[
    bool,
    typer.Option(
        "--yes",
        "-y",
        help="do not ask before gigabytes are downloaded; a pipe or a CI job is never asked",
        rich_help_panel=MACHINE,
    ),
]
OpenOption = Annotated[
    bool,
    typer.Option("--open", help="show its page in a browser at the end, until Ctrl-C", rich_help_panel=OUTPUT),
]


def request_of_options(given: Mapping[str, Any], asked: Asked) -> tuple[BisectionRequest, list[str]]:
    """Return the request that the options of `tfbisect run` make, and the requirements of a file that are left out.

    Args:
        given: the options, by the names of their parameters.
        asked: what is to run.

    Raises:
        BadInput: an option is invalid; the message names it.
    """
    additions, left_out = parse_additions(given["with_"] or (), given["requirements"], given["package"])
    judged = {name: given[name] for name in ("pattern", "bad_pattern", "regress", "tolerance", "judge_by")}
    request = build_request(
        **{name: given[name] for name in AS_NAMED},
        **parse_variants(given["variant"] or ()),
        **{"with": additions},
        snippet=asked.snippet,
        project=asked.project.digest if asked.project else None,
        command=asked.command,
        arguments=asked.arguments,
        input_shape=parse_shape(given["input_shape"]),
        parameters=parse_parameters(given["set_"] or (), given["expect"] or (), **judged),
        timeout_seconds=given["timeout"],
    )
    return request, left_out

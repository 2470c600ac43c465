"""The software bill of materials: what requirements.lock holds, as CycloneDX 1.6 JSON.

python .ci/sbom.py requirements.lock sbom.cdx.json
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from pip_requirements_parser import InstallRequirement, RequirementsFile


def bill(lock: Path) -> str:
    """Return the bill of a lock. The same lock gives the same bill, its moment aside."""
    components = [component(requirement) for requirement in RequirementsFile.from_file(str(lock)).requirements]
    bom = Bom(
        components=components,
        serial_number=uuid5(NAMESPACE_URL, lock.read_text("utf-8")),
    )
    bom.metadata.component = Component(name="tfbisect", type=ComponentType.APPLICATION, bom_ref="tfbisect")
    bom.register_dependency(bom.metadata.component, components)
    return str(JsonV1Dot6(bom).output_as_string(indent=2))


def component(requirement: InstallRequirement) -> Component:
    """Return one package with the digests of all its files."""
    version = re.sub("^==", "", str(requirement.specifier))
    purl = PackageURL("pypi", name=requirement.name, version=version)
    return Component(name=requirement.name, version=version, purl=purl, bom_ref=str(purl), hashes=hashes(requirement))


def hashes(requirement: InstallRequirement) -> Iterator[HashType]:
    """Yield the digests that an installer accepts."""
    for option in requirement.hash_options:
        yield HashType(alg=HashAlgorithm.SHA_256, content=option.rpartition(":")[2])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(bill(Path(sys.argv[1])) + "\n", "utf-8")

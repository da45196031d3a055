"""Print the lowest versions that pyproject.toml declares, as a pip constraints file: every `name>=X` becomes `name==X`.

Usage: python .ci/lowest.py [NAME==VERSION ...]   # versions that replace a declared one: torch's CPU build at hand
"""

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
requirements = [*project["dependencies"]]
for extra in project["optional-dependencies"].values():
    requirements += extra
lowest = {}
for requirement in requirements:
    bound = re.match(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?>=([0-9.]+)", requirement)
    if bound:
        lowest[bound[1]] = bound[2]
for replaced in sys.argv[1:]:
    name, _, version = replaced.partition("==")
    lowest[name] = version
for name, version in sorted(lowest.items()):
    print(f"{name}=={version}")

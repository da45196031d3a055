"""Writes hf_stilts/languages.tsv and hf_stilts/scripts.tsv: what is known of every language with an ISO 639 code.

    python tools/languages.py GLOTTOLOG JOSHI FLORES

needs `pip install langcodes language_data`, which know the codes of IANA's registry, their three-letter forms, likely
scripts and English names (CLDR); 24 MB and a compiled extension are too much for the package, which reads the tables.

Args:
    GLOTTOLOG: folder with `languages.csv` and `classification.nex` of https://github.com/glottolog/glottolog-cldf.
    JOSHI: JSON, class -> [{"lang_name": ...}], of the list by Joshi et al. 2020 (lang2tax.txt), which has names only:
        a class is kept where its name is the name of exactly one code.
    FLORES: text file, one code of FLORES-200 a line (`ace_Arab`).
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import language_data
from langcodes import Language, data_dicts

PACKAGE = Path(__file__).parents[1] / "hf_stilts"
# Branches of Indo-European, as hf_stilts/languages.py names them.
BRANCHES = {
    "germ1287": "Germanic", "roma1334": "Romance", "slav1255": "Slavic", "east2280": "Baltic", "indo1321": "Indo-Aryan",
    "iran1269": "Iranian", "gree1276": "Greek", "celt1248": "Celtic", "arme1241": "Armenian", "alba1267": "Albanian",
}  # fmt: skip
# Families that the table of the fifty languages names otherwise than Glottolog.
FAMILIES = {"Atlantic-Congo": "Niger-Congo", "Austroasiatic": "Austro-Asiatic", "Tai-Kadai": "Kra-Dai"}
# FLORES-200 has another variety of these than the one that CLDR takes for the whole.
OTHER_VARIETIES = {"pbt": "ps", "quy": "qu"}


def registry() -> Iterator[dict[str, list[str]]]:
    """Entries of IANA's registry of subtags, field by field."""
    path = Path(language_data.__file__).parent / "data" / "language-subtag-registry.txt"
    text = path.read_text(encoding="utf-8").replace("\n  ", " ")
    for entry in text.split("%%\n")[1:]:
        fields = defaultdict(list)
        for line in entry.strip().split("\n"):
            name, _, value = line.partition(": ")
            fields[name].append(value)
        yield fields


def families(folder: Path) -> dict[str, str]:
    """ISO 639-3 -> family, after Glottolog; Indo-European languages have their branch."""
    with (folder / "languages.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = {row["ID"]: row["Name"] for row in rows}
    branch_of = branches((folder / "classification.nex").read_text(encoding="utf-8"))
    found = {}
    for row in rows:
        if not row["ISO639P3code"]:
            continue
        family = names.get(row["Family_ID"], "isolate" if row["Is_Isolate"] == "true" else "")
        if family == "Indo-European":
            branch = branch_of.get(row["ID"]) or branch_of.get(row["Language_ID"])  # the language that a dialect is of
            family = f"IE:{branch}" if branch else "IE"
        found[row["ISO639P3code"]] = FAMILIES.get(family, family)
    return found


def branches(trees: str) -> dict[str, str]:
    """Glottocode -> branch, of the tree of Indo-European in Newick's notation, where a node follows its children."""
    line = next(line for line in trees.split("\n") if "tree indo1319" in line)
    found: dict[str, str] = {}
    open_nodes: list[list[str]] = [[]]
    below: list[str] = []
    for token in re.findall(r"\(|\)|[a-z0-9]{4}[0-9]{4}", line.partition("[&R]")[2]):
        if token == "(":
            open_nodes.append([])
        elif token == ")":
            below = open_nodes.pop()
        else:
            if token in BRANCHES:
                found |= dict.fromkeys([*below, token], BRANCHES[token])
            open_nodes[-1] += [*below, token]
            below = []
    return found


def classes(path: Path, entries: list[dict[str, list[str]]]) -> dict[str, str]:
    """Code -> resource class, where the list's name is the name of one code alone."""
    codes = defaultdict(set)
    for entry in entries:
        code = entry["Subtag"][0]
        for name in [*entry["Description"], english(code)]:
            codes[re.sub(r" \(.*| languages?$", "", name).casefold()].add(code)
    found = {}
    for level, languages in json.loads(path.read_text(encoding="utf-8")).items():
        for each in languages:
            alike = codes.get(each["lang_name"].casefold(), set())
            two_letters = {code for code in alike if len(code) == 2}  # `Oriya`: the macrolanguage, not the variety
            for certain in (two_letters, alike):
                if len(certain) == 1:
                    found[next(iter(certain))] = level
                    break
    return found


def english(code: str) -> str:
    """English name of CLDR, without a remark in brackets behind it."""
    return re.sub(r" \[.*|Unknown language", "", Language.get(code, normalize=False).language_name())


def likely_script(code: str) -> str:
    """Code of the script that CLDR takes a language to be written in; empty where it has none."""
    parts = data_dicts.LIKELY_SUBTAGS.get(code, "").split("-")
    return next((part for part in parts if len(part) == 4 and part.isalpha()), "")


def main() -> None:
    """Write both tables."""
    glottolog, joshi, flores = map(Path, sys.argv[1:])
    every = list(registry())
    entries = [
        entry
        for entry in every
        if entry["Type"] == ["language"] and entry["Scope"] != ["special"] and ".." not in entry["Subtag"][0]
    ]
    entries = [entry for entry in entries if len(entry["Subtag"][0]) == 3 or not entry["Deprecated"]]
    family, level = families(glottolog), classes(joshi, entries)
    whole = {each: macro for each, macro in data_dicts.NORMALIZED_MACROLANGUAGES.items() if len(macro) == 2}
    whole |= OTHER_VARIETIES
    members = defaultdict(list)
    for each, macro in data_dicts.MACROLANGUAGES.items():
        members[macro].append(each)
    two_letters = {iso3: code for code, iso3 in data_dicts.LANGUAGE_ALPHA3.items()}
    in_flores, scripts = {}, defaultdict(list)
    for code in flores.read_text(encoding="utf-8").split():
        base, _, script = code.partition("_")
        own = two_letters.get(base) or whole.get(base, base)
        in_flores[own] = base
        scripts[own].append(script)
    with (PACKAGE / "languages.tsv").open("w", encoding="utf-8", newline="\n") as file:
        for entry in entries:
            code = entry["Subtag"][0]
            iso3 = data_dicts.LANGUAGE_ALPHA3[code] if len(code) == 2 else code
            script = likely_script(code) or "".join(entry["Suppress-Script"])
            script = script or likely_script(data_dicts.MACROLANGUAGES.get(code, ""))
            script = scripts[code][0] if len(scripts[code]) == 1 else script
            varieties = [in_flores.get(code, ""), *(each for each in whole if whole[each] == code), *members[code]]
            kin = next((family[each] for each in [iso3, *varieties] if family.get(each)), "")
            flores_base = in_flores.get(code, iso3)
            name = english(code) or entry["Description"][0]
            cells = [code, iso3, flores_base if flores_base != iso3 else "", name, kin, script, level.get(code, "")]
            file.write("\t".join(cells) + "\n")
    with (PACKAGE / "scripts.tsv").open("w", encoding="utf-8", newline="\n") as file:
        for entry in every:
            if entry["Type"] == ["script"] and ".." not in entry["Subtag"][0]:
                file.write(f"{entry['Subtag'][0]}\t{entry['Description'][0]}\n")


if __name__ == "__main__":
    main()

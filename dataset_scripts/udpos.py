"""Part-of-speech tags from Universal Dependencies: fused forms are words, as in XTREME, or UD's own words are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from datasets import ClassLabel, Dataset, Features, List, Value

from hf_stilts.dataset_scripts.raw import Raw
from hf_stilts.languages import LANGUAGES
from hf_stilts.task import load_task

FILES = "{language}_*-ud-*.conllu"
SOURCE = "https://universaldependencies.org/#download"
CITATION = "Nivre et al. (2020), Universal Dependencies v2, LREC; fused forms after Hu et al. (2020), XTREME, ICML."
TAGS = load_task("udpos").labels
FEATURES = Features({"tokens": List(Value("string")), "pos_tags": List(ClassLabel(names=list(TAGS)))})
SPLITS = {"train": "train", "validation": "dev", "test": "test"}
WITHOUT_TEXT = "ar_nyuad-"  # published with `_` for every word
COLUMNS = 10  # ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC

# Which of several equally high words gives a fused form its tag, first one first: XTREME's ud-conversion-tools.
PRECEDENCE = {
    "es": ("VERB", "AUX", "PRON", "ADP", "DET"),
    "fr": ("VERB", "AUX", "PRON", "NOUN", "ADJ", "ADV", "ADP", "DET", "PART", "SCONJ", "CONJ"),
    "it": ("VERB", "AUX", "ADV", "PRON", "ADP", "DET", "INTJ"),
}
DEFAULT_PRECEDENCE = (
    "VERB", "NOUN", "PROPN", "PRON", "ADJ", "NUM", "ADV", "INTJ",
    "AUX", "ADP", "DET", "PART", "CCONJ", "SCONJ", "X", "PUNCT",
)  # fmt: skip


@dataclass
class Sentence:
    """Words of a sentence by number, from 1.

    Attributes:
        forms, tags: surface form and UPOS of each word.
        heads: for each word the words it depends on, 0 for the root: in the tree and in the enhanced graph.
        fused: first word of a fused form -> last word, surface form.
    """

    forms: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    heads: list[set[int]] = field(default_factory=list)
    fused: dict[int, tuple[int, str]] = field(default_factory=dict)


def convert(raw: Raw, language: str, *, fused: bool = True) -> dict[str, Dataset]:
    """All treebanks of a language together, in the order of their file names.

    Args:
        raw: a UD release, or some of its treebanks. Of two releases side by side (`ud-treebanks-v2.5`, `-v2.7`) the
            added languages of XTREME-R are read from 2.7 and all others from 2.5, as there.
        language: two-letter code with which the file names begin.
        fused: a fused form (German `im`) is one word with the tag of its head, and blanks and U+200C inside words are
            deleted, as in XTREME (Hu et al. 2020). False: UD's words (`in`, `dem`) as they are, as in `google/xtreme`.
    """
    release = "2.5" if LANGUAGES[language].xtreme else "2.7"
    precedence = PRECEDENCE.get(language, DEFAULT_PRECEDENCE)
    parts = {}
    for split, part in SPLITS.items():
        there = raw.find(f"{language}_*-ud-{part}*.conllu")
        raw.leave_out([file for file in there if WITHOUT_TEXT in file], "its words are published without text")
        files = [file for file in there if WITHOUT_TEXT not in file]
        released = [file for file in files if f"-v{release}/" in file]
        if released:
            other = [file for file in files if file not in released]
            raw.leave_out(other, f"the rows of {language} are those of release {release}")
            files = released
        rows: dict[str, list[list[str]]] = {"tokens": [], "pos_tags": []}
        for file in files:
            for sentence in raw.some(file, sentences(raw, file), "sentence"):
                tokens, tags = fuse(sentence, precedence) if fused else (sentence.forms, sentence.tags)
                if tokens and _has_text(tokens):
                    rows["tokens"].append([_joined(token) for token in tokens] if fused else tokens)
                    rows["pos_tags"].append(tags)
        if files:
            parts[split] = Dataset.from_dict(rows, features=FEATURES)
    return parts


def sentences(raw: Raw, name: str) -> Iterator[Sentence]:
    """Sentences of a CoNLL-U file.

    Raises:
        StiltsError: a line has not 10 columns, words are not numbered 1, 2, 3.., or a tag is none of the 17.
    """
    sentence, number = Sentence(), 0
    for number, line in raw.lines(name):
        if not line and (sentence.forms or sentence.fused):
            yield _whole(raw, name, number, sentence)
            sentence = Sentence()
        elif line and not line.startswith("#"):
            _add(raw, name, number, sentence, line.split("\t"))
    if sentence.forms or sentence.fused:
        yield _whole(raw, name, number, sentence)


def fuse(sentence: Sentence, precedence: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Words and tags of a sentence in which each fused form stands for the words it is made of.

    Its tag is that of its highest word, the one with the fewest words above it; among several it is the tag that comes
    first in `precedence`. Links of the enhanced graph count, where there is one: they do in XTREME's tool.
    """
    tokens, tags, word = [], [], 1
    while word <= len(sentence.forms):
        last, form = sentence.fused.get(word, (word, sentence.forms[word - 1]))
        span = range(word, last + 1)
        above = {each: _above(sentence, each) for each in span} if len(span) > 1 else {word: 0}
        highest = [sentence.tags[each - 1] for each in span if above[each] == min(above.values())]
        tokens.append(form)
        tags.append(min(highest, key=lambda tag: precedence.index(tag) if tag in precedence else len(precedence)))
        word = last + 1
    return tokens, tags


def _above(sentence: Sentence, word: int) -> int:
    seen: set[int] = set()
    waiting = [word]
    while waiting:
        each = waiting.pop()
        new = sentence.heads[each - 1] - seen if each else set()
        seen |= new
        waiting.extend(new)
    return len(seen - {word})


def _add(raw: Raw, name: str, number: int, sentence: Sentence, cells: list[str]) -> None:
    if len(cells) != COLUMNS:
        raise raw.error(name, number, f"{len(cells)} columns", f"{COLUMNS}, separated by tabs")
    each, form, tag, head, enhanced = cells[0], cells[1], cells[3], cells[6], cells[8]
    if "." in each:  # an empty node: no word of the text
        return
    first, _, last = each.partition("-")
    expected = len(sentence.forms) + 1
    if first != str(expected) or (last and not (last.isdigit() and int(last) >= expected)):
        raise raw.error(name, number, f"word number {each!r}", f"{expected}, or a range from there")
    if last:
        sentence.fused[expected] = int(last), form
        return
    if tag not in TAGS:
        raise raw.error(name, number, f"tag {tag!r}", f"one of {', '.join(TAGS)}")
    sentence.forms.append(form)
    sentence.tags.append(tag)
    above = [head, *(link.partition(":")[0] for link in enhanced.split("|"))]
    sentence.heads.append({int(each) for each in above if each.isdigit()})


def _whole(raw: Raw, name: str, number: int, sentence: Sentence) -> Sentence:
    end = 0
    for first, (last, form) in sorted(sentence.fused.items()):
        if first <= end or last > len(sentence.forms):
            found = f"a sentence of {len(sentence.forms)} words with {form!r} for its words {first} to {last}"
            raise raw.error(name, number, found, "fused forms that cover words of their own")
        end = last
    stray = max((each for heads in sentence.heads for each in heads), default=0)
    if stray > len(sentence.forms):
        raise raw.error(name, number, f"a sentence of {len(sentence.forms)} words with a head {stray}", "a head in it")
    return sentence


def _has_text(tokens: list[str]) -> bool:
    # XTREME's rule to the letter: it also drops a sentence of two words of which one is an underscore.
    hidden = tokens.count("_")
    return hidden == 0 or hidden < len(tokens) - 1


def _joined(token: str) -> str:
    return token.strip().replace("\u200c", "").replace(" ", "") or token

"""SQuAD as retrieval: a question, and its answer's sentence with the paragraph; trains LAReQA (Roy et al. 2020)."""

import re
from typing import Any

from hf_stilts.task import Task

# A sentence ends at . ! or ? with closing marks, before a blank and what can begin the next one; a single capital or a
# common abbreviation before the point ends none. The reference's breaker is not published: this is a plain one.
_END = re.compile(r"[.!?][\"')\]”’]*(?=\s+[\"'(\[“‘]*[A-Z0-9])")
_NO_END = re.compile(
    r"(?:\b[A-Z]|\b(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|No|Gen|Col|Lt|Capt|Sen|Rep|Gov|Rev|ca|c|cf|e\.g|i\.e))$"
)


def sentences(text: str) -> list[tuple[int, int]]:
    """Where the sentences of an English text begin and end, by rule.

    >>> text = 'Dr. J. Smith sang. "Why?" He did.'
    >>> [text[start:end] for start, end in sentences(text)]
    ['Dr. J. Smith sang.', '"Why?"', 'He did.']
    """
    ends = [match.end() for match in _END.finditer(text) if not _NO_END.search(text[: match.start()])]
    spans = zip([0, *ends], [*ends, len(text)], strict=True)
    # Blanks between two sentences belong to neither.
    trimmed = [(start + len(text[start:end]) - len(text[start:end].lstrip()), end) for start, end in spans]
    return [(start, start + len(text[start:end].rstrip())) for start, end in trimmed if text[start:end].strip()]


def answer_sentence(row: dict[str, Any]) -> dict[str, Any] | None:
    """A question, the sentence in which its first answer begins, and the paragraph; None without such a sentence."""
    context, starts = row["context"], row["answers"]["answer_start"]
    found = [context[start:end] for start, end in sentences(context) if starts and start <= starts[0] < end]
    if not found:
        return None
    return {"query": row["question"].replace("\n", ""), "candidate": (found[0] + context).replace("\n", "")}


TASK = Task(
    kind="sentence-similarity",
    dataset="rajpurkar/squad",
    config="plain_text",
    revision="7b6d24c440a36b6815f21b70d25016731768db1f",
    splits={"test": "validation"},
    prepare=answer_sentence,
    metric="mrr@20",
    license="cc-by-sa-4.0",
    paper="2004.05484",
)

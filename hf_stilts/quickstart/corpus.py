"""The made-up world as data sets, tasks and a tokenizer: all that the three phases need without a network."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_stilts.quickstart.grammar import MODIFIERS, SYNTHETIC_LANGUAGES, TAGS, Grammar, Scene, Word, join
from hf_stilts.task import Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

DATASET = "stilts/world"
ENGLISH = "en"
OTHERS = tuple(code for code in SYNTHETIC_LANGUAGES if code != ENGLISH)
NLI_LABELS = ("entailment", "neutral", "contradiction")
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")  # ids 0-4, the first four as in XLM-R

# Rows of each split. Training rows are in English alone; text, test and bitext rows in every language.
ROWS = {
    "text": {"train": 1500, "validation": 100},
    "nli": {"train": 4000, "validation": 300, "test": 300},
    "qa": {"train": 3000, "validation": 200, "test": 200},
    "pos": {"train": 600, "validation": 100, "test": 200},
    "bitext": {"test": 250},
}
MINING = {"validation": (200, 300, 60), "test": (300, 450, 90)}  # sentences, English sentences, hidden pairs

Row = dict[str, Any]


def tasks() -> dict[str, Task]:
    """The world's tasks by name: one of each kind that the quickstart shows.

    >>> tasks()["world_nli"].config_for("qaa")
    'nli.qaa'
    """

    def task(name: str, kind: str, description: str, languages: tuple[str, ...], metric: str, **fields: Any) -> Task:
        return Task(
            kind,
            DATASET,
            f"{name}.{{language}}",
            name=f"world_{name}",
            description=description,
            languages=languages,
            metric=metric,
            license="apache-2.0",
            **fields,
        )

    everywhere = (ENGLISH, *OTHERS)
    found = (
        task("text", "fill-mask", "Stories in each language.", everywhere, "perplexity"),
        task("nli", "text-classification", "Does a sentence follow?", everywhere, "accuracy", labels=NLI_LABELS),
        task("qa", "question-answering", "Who, what or where, in a story.", everywhere, "f1"),
        task("pos", "token-classification", "Parts of speech.", everywhere, "accuracy", labels=TAGS),
        task("bitext", "bitext-retrieval", "Find the English translation.", OTHERS, "accuracy"),
        task("mining", "bitext-mining", "Find the hidden translations.", OTHERS, "f1"),
    )
    return {task.name: task for task in found}


def build(out: str | Path, seed: int = 0) -> Path:
    """Write the world as a mirror of a data repository, `<out>/stilts/world/<config>/<split>-00000-of-00001.parquet`.

    The same seed writes the same rows. An earlier world at the same place is replaced when the new one is complete.

    Args:
        out: folder of mirrors, what `--data-dir` or `HF_STILTS_DATA` names.
        seed: of the words, of what goes with what, and of all rows.

    Returns:
        The folder of the data set.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    final = Path(out) / DATASET
    final.parent.mkdir(parents=True, exist_ok=True)
    grammar = Grammar(seed)
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=".world-") as folder:
        splits: dict[str, list[str]] = {}
        for config, split, rows in _rows(grammar):
            path = Path(folder) / "world" / config / f"{split}-00000-of-00001.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows), path)
            splits.setdefault(config, []).append(split)
        (Path(folder) / "world" / "README.md").write_text(_card(splits, seed), encoding="utf-8")
        if final.exists():
            final.rename(Path(folder) / "before")
        (Path(folder) / "world").rename(final)
    return final


def tokenizer(data: str | Path, vocab_size: int = 2500) -> PreTrainedTokenizerFast:
    """Train a subword tokenizer on the world's text, with XLM-R's special tokens and pair format.

    A punctuation mark is a token of its own, so that the same words get the same tokens in running text and as a
    list of words.

    Args:
        data: what `build` was given.
        vocab_size: at most so many tokens.

    Raises:
        FileNotFoundError: there is no world at `data`.
    """
    import pyarrow.parquet as pq
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    files = sorted((Path(data) / DATASET).glob("text.*/train-*.parquet"))
    if not files:
        raise FileNotFoundError(
            f"No made-up world under {data}: expected {DATASET}/text.*. Run: corpus.build({str(data)!r})"
        )
    texts = [text for file in files for text in pq.read_table(file)["text"].to_pylist()]
    fast = Tokenizer(models.BPE(unk_token="<unk>"))
    fast.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Metaspace()])
    fast.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=list(SPECIALS), show_progress=False)
    fast.train_from_iterator(texts, trainer)
    fast.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=fast,
        bos_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        cls_token="<s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
        model_max_length=128,
    )


def _rows(grammar: Grammar) -> Iterator[tuple[str, str, list[Row]]]:
    """Every (config, split, rows) of the data set; each draws from its own seed, so none depends on another."""
    makers: dict[str, Callable[[Grammar, str, random.Random], Row]] = {
        "text": _text_row,
        "nli": _nli_row,
        "qa": _qa_row,
        "pos": _pos_row,
    }
    for language in SYNTHETIC_LANGUAGES:
        for name, make in makers.items():
            for split, count in ROWS[name].items():
                if split == "test" or name == "text" or language == ENGLISH:
                    rng = random.Random(f"{grammar.seed} {name} {split} {language}")
                    yield f"{name}.{language}", split, [make(grammar, language, rng) for _ in range(count)]
    for language in OTHERS:
        for split, count in ROWS["bitext"].items():
            scenes = _distinct(grammar, random.Random(f"{grammar.seed} bitext {split}"), count)
            told = [
                {"source": _tell(grammar, scene, language), "target": _tell(grammar, scene, ENGLISH)}
                for scene in scenes
            ]
            yield f"bitext.{language}", split, told
        for split, sizes in MINING.items():
            rng = random.Random(f"{grammar.seed} mining {split} {language}")
            yield f"mining.{language}", split, [_mining_row(grammar, language, rng, *sizes)]


def _text_row(grammar: Grammar, language: str, rng: random.Random) -> Row:
    return {"text": " ".join(join(grammar.tell(scene, language, ask)) for scene, ask in grammar.story(rng))}


def _nli_row(grammar: Grammar, language: str, rng: random.Random) -> Row:
    """Two sentences: less said is entailed, more or something else said is neutral, changed is contradicted."""
    premise = replace(grammar.scene(rng, grammar.anybody(rng), detail=0.7), negated=False)
    told = [name for name in MODIFIERS if getattr(premise, name)]
    kept = [name for name in told if rng.random() < 0.5]
    other = grammar.scene(rng, grammar.anybody(rng), detail=1.0)
    label = rng.choice(NLI_LABELS)
    changes: dict[str, Any] = {}
    if label == "contradiction":
        mutable = [name for name in ("colour", "number", "place") if name in told]
        name = rng.choice([*mutable, "negated"])
        while name != "negated" and getattr(other, name) == getattr(premise, name):
            other = grammar.scene(rng, grammar.anybody(rng), detail=1.0)
        changes[name] = True if name == "negated" else getattr(other, name)
    elif label == "neutral":
        unsaid = [name for name in ("colour", "number", "place", "time") if name not in told]
        name = rng.choice([*unsaid, "agent", "action", "thing"])
        while getattr(other, name) == getattr(premise, name):
            other = grammar.scene(rng, grammar.anybody(rng), detail=1.0)
        changes[name] = getattr(other, name)
        if name == "agent":
            kept = [name for name in kept if name != "quality"]
    less = premise.without(name for name in told if name not in kept and name not in changes)
    hypothesis = replace(less, **changes)
    if "thing" not in changes and rng.random() < 0.2:
        hypothesis = hypothesis.general()
    return {
        "text": _tell(grammar, premise, language),
        "text_pair": _tell(grammar, hypothesis, language),
        "label": label,
    }


def _qa_row(grammar: Grammar, language: str, rng: random.Random) -> Row:
    """A story of scenes that no question confuses, a question, and the answer with its place in the story."""
    scenes: list[Scene] = []
    while len(scenes) < rng.choice((2, 3, 4)) or len(scenes) < 2:
        scene = replace(grammar.scene(rng, grammar.anybody(rng)), negated=False)
        if all(scene.agent != other.agent and scene.thing != other.thing for other in scenes):
            scenes.append(scene)
    at = rng.randrange(len(scenes))
    role = rng.choice(("agent", "thing", "place") if scenes[at].place else ("agent", "thing"))
    sentences = [grammar.tell(scene, language) for scene in scenes]
    start, text = _answer(sentences[at], role)
    before = sum(len(join(sentence)) + 1 for sentence in sentences[:at])
    asked = replace(scenes[at], time=None, place=scenes[at].place if role == "place" else None)
    return {
        "id": f"{language}-{rng.getrandbits(48):012x}",
        "question": join(grammar.tell(asked, language, ask=role)),
        "context": " ".join(join(sentence) for sentence in sentences),
        "answers": {"text": [text], "answer_start": [before + start]},
    }


def _answer(sentence: list[Word], role: str) -> tuple[int, str]:
    """Start and text of the words that tell `role`, which stand together in every language."""
    places = [place for place, word in enumerate(sentence) if word.role == role]
    text = join(sentence[places[0] : places[-1] + 1])
    prefix = join(sentence[: places[0]])
    return len(prefix) + bool(prefix), text


def _pos_row(grammar: Grammar, language: str, rng: random.Random) -> Row:
    scene = grammar.scene(rng, grammar.anybody(rng))
    words = grammar.tell(scene, language, ask=rng.choice(("agent", "thing")) if rng.random() < 0.2 else "")
    return {"tokens": [word.form for word in words], "tags": [word.tag for word in words]}


def _mining_row(grammar: Grammar, language: str, rng: random.Random, ours: int, english: int, hidden: int) -> Row:
    """Two comparable corpora as one row: `hidden` scenes are told in both, all others in one."""
    scenes = _distinct(grammar, rng, ours + english - hidden)
    source, target = scenes[:ours], scenes[ours - hidden :]
    rng.shuffle(source)
    rng.shuffle(target)
    source_ids = [f"{language}-{number:06d}" for number in range(1, ours + 1)]
    target_ids = [f"{ENGLISH}-{number:06d}" for number in range(1, english + 1)]
    where = {scene: place for place, scene in enumerate(target)}
    return {
        "source_ids": source_ids,
        "source": [_tell(grammar, scene, language) for scene in source],
        "target_ids": target_ids,
        "target": [_tell(grammar, scene, ENGLISH) for scene in target],
        "gold": [[source_ids[i], target_ids[where[scene]]] for i, scene in enumerate(source) if scene in where],
    }


def _distinct(grammar: Grammar, rng: random.Random, count: int) -> list[Scene]:
    """Scenes without names, which are the same in all languages and would give a translation away."""
    scenes: dict[Scene, None] = {}
    while len(scenes) < count:
        scenes[replace(grammar.scene(rng, detail=0.6), place=None, adposition="in")] = None
    return list(scenes)


def _tell(grammar: Grammar, scene: Scene, language: str) -> str:
    return join(grammar.tell(scene, language))


def _card(splits: dict[str, list[str]], seed: int) -> str:
    """The data card: its YAML is what the Hub, `datasets` and our own loader read."""
    lines = ["---", "pretty_name: A made-up world", "license: apache-2.0", "configs:"]
    for config, names in splits.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split in names:
            lines += [f"  - split: {split}", f"    path: {config}/{split}-*"]
    words = ", ".join(f"`{code}` ({synthetic.order})" for code, synthetic in SYNTHETIC_LANGUAGES.items())
    lines += ["---", "", "# A made-up world", ""]
    lines += [
        f"Generated by `hf_stilts.quickstart.corpus.build(seed={seed})`. No language here is spoken by anybody:",
        f"{words}; codes `qaa` to `qtz` are those that ISO 639-2 reserves for local use, and `en` is the one that has",
        "training rows.",
    ]
    return "\n".join(lines) + "\n"

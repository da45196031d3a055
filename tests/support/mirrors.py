"""Small mirrors of real tasks' data sets, with made-up rows: what benchmark runs read in tests."""

from pathlib import Path

from datasets import Dataset

from hf_stilts.data.source import mirror_folder
from hf_stilts.task import load_task

WORDS = "house dog book city old small red cat teacher river one two".split()
SENTENCES = [f"the {a} and a {b}" for a, b in zip(WORDS, WORDS[1:], strict=False)]


def answered(count):
    return [
        {
            "id": f"q{number}", "question": f"who reads in the {WORDS[number % 12]}",
            "context": f"the {WORDS[number % 12]} reads a {WORDS[(number * 5 + 1) % 12]} book",
            "answers": {"text": [WORDS[number % 12]], "answer_start": [4]},
        }
        for number in range(count)
    ]  # fmt: skip


def tagged(count):
    return [
        {"tokens": ["the", WORDS[number % 12], "reads"], "pos_tags": [5, 7 + number % 2, 15]} for number in range(count)
    ]


def translated(count):
    return [{"sentence1": SENTENCES[number], "sentence2": f"{SENTENCES[number]} is"} for number in range(count)]


def chosen(count):
    return [
        {
            "premise": SENTENCES[number], "question": ("cause", "effect")[number % 2], "choice1": WORDS[number],
            "choice2": WORDS[number + 1], "label": number % 2,
        }
        for number in range(count)
    ]  # fmt: skip


def wanted(count):
    return [
        {"context": SENTENCES[number], "question": "what next", "label": str(1 + number % 3)}
        | {f"answer{letter}": WORDS[(number + place) % 12] for place, letter in enumerate("ABC")}
        for number in range(count)
    ]


def inferred(count):
    return [
        {"premise": SENTENCES[number % 11], "hypothesis": SENTENCES[number * 3 % 11], "label": number % 3}
        for number in range(count)
    ]


ROWS = {
    "xquad": answered, "mlqa": answered, "squad_v1": answered, "udpos": tagged, "tatoeba": translated,
    "siqa": wanted, "copa": chosen, "xcopa": chosen, "snli": inferred,
}  # fmt: skip


def build(folder, parts, count=10):
    """Mirror with `{task: {split: languages}}`, the same rows in each."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    cards = {}
    for name, splits in parts.items():
        task = load_task(name)
        repository = mirror_folder(task, folder)
        for split, languages in splits.items():
            for code in languages:
                config = task.config_for(code) or "default"
                path = repository / config / f"{task.split_for(split)}-00000-of-00001.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                Dataset.from_list(ROWS[name](count)).to_parquet(path)
                cards.setdefault(repository, {}).setdefault(config, []).append(task.split_for(split))
    for repository, configs in cards.items():
        lines = ["---", "configs:"]
        for config, stored in configs.items():
            lines += [f"- config_name: {config}", "  data_files:"]
            lines += [line for split in stored for line in (f"  - split: {split}", f"    path: {config}/{split}-*")]
        (repository / "README.md").write_text("\n".join([*lines, "---", ""]))
    return folder


SMALL = {
    "squad_v1": {"train": ["en"], "validation": ["en"]},
    "xquad": {"test": ["en", "de"]},
    "mlqa": {"test": ["en", "de"]},
    "udpos": {"train": ["en"], "validation": ["en"], "test": ["en", "de", "fi"]},
    "tatoeba": {"test": ["de", "fi"]},
}


FLAGS = ("--max_steps", "2", "--use_cpu", "true", "--per_device_train_batch_size", "4", "--report_to", "none")


CHOSEN = {"tasks": ["xquad", "mlqa", "udpos", "tatoeba"], "languages": ["en", "de", "fi"], "flags": FLAGS}

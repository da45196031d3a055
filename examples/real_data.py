"""The three phases on real text: a small masked LM from scratch, two intermediate tasks, three targets, one table.

Reads a folder of openly licensed raw files (Tatoeba, UD, XQuAD, CommonsenseQA, TyDiQA, SQuAD 2, NTREX), trains
everything itself and publishes to an embedded Hub: no network. Weak numbers are what so small a model gives.

    python examples/real_data.py --raw DIR --out runs/real_data            # about 15 minutes on 2 cores
    python examples/real_data.py --raw DIR --out runs/try --scale 0.02     # the whole path in a minute or two
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

INTERMEDIATE = ("commonsenseqa", "tydiqa_en")
BASE = "local/real-mini"
# Languages of XTREME whose text is among the raw files, by NTREX's codes.
NTREX = {
    "af": "afr", "ar": "arb", "bg": "bul", "bn": "ben", "de": "deu", "el": "ell", "es": "spa", "et": "est", "eu": "eus",
    "fa": "fas", "fi": "fin", "fr": "fra", "he": "heb", "hu": "hun", "id": "ind", "it": "ita", "ja": "jpn", "ka": "kat",
    "kk": "kaz", "ko": "kor", "ml": "mal", "mr": "mar", "ms": "msa", "my": "mya", "nl": "nld", "pt": "por", "ru": "rus",
    "ta": "tam", "te": "tel", "th": "tha", "tl": "fil", "ur": "urd", "vi": "vie", "yo": "yor", "zh": "zho-CN",
}  # fmt: skip
TYDIQA = (
    "arabic_tydiqa_dev", "bengali_tydiqa_dev", "english_tydiqa_train", "finnish_tydiqa_dev", "indonesian_tydiqa_dev",
    "korean_tydiqa_train", "russian_tydiqa_dev", "swahili_tydiqa_train", "telugu_tydiqa_dev",
)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, required=True, help="folder with tatoeba/, ud/, xquad/, ntrex/, ...")
    parser.add_argument("--out", type=Path, default=Path("runs/real_data"))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the steps and of the evaluation rows")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--steps", type=int, default=3000, help="of pre-training")
    parser.add_argument("--width", type=int, default=128, help="of the encoder, on a processor")
    parser.add_argument("--phase", choices=("pretrain", "train", "evaluate"), help="one part only")
    options = parser.parse_args()
    if options.phase:
        return {"pretrain": pretrain, "train": train, "evaluate": evaluate}[options.phase](options)

    from hf_stilts.dataset_scripts import build
    from hf_stilts.local_hub import LocalHub

    started = time.time()
    for name in ("tatoeba", "udpos", "xquad", "commonsenseqa"):
        folder = options.raw / {"udpos": "ud"}.get(name, name)
        rows = sum(part.rows for part in build(name, folder, options.out / "mirror").parts)
        print(f"built {name}: {rows} rows", flush=True)
    with LocalHub(options.out / "hub") as hub:
        environment = os.environ | hub.environment() | {"HF_STILTS_DATA": str(options.out / "mirror")}
        environment |= {"HF_HOME": str(options.out / "cache"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        for phase in ("pretrain", "train", "evaluate"):  # each finds what the one before it published, by name alone
            subprocess.run([sys.executable, *sys.argv, "--phase", phase], env=environment, check=True)
    print(f"{time.time() - started:.0f} seconds in all")


def train(options):
    """Phases one and two."""
    from huggingface_hub import HfApi

    from hf_stilts import IntermediateTrainer, PublishCheckpoints, load_task

    HfApi().create_repo(BASE, exist_ok=True)
    HfApi().upload_folder(repo_id=BASE, folder_path=options.out / "base", ignore_patterns=["*.bin", "checkpoint-*"])
    for name in INTERMEDIATE:
        task = span_task() if name == "tydiqa_en" else load_task(name)
        data = {}
        if name == "tydiqa_en":
            raw = options.raw / "tydiqa_goldp"
            data = {"train_dataset": squad_rows(raw / "english_tydiqa_train.json"),
                    "eval_dataset": squad_rows(raw / "english_tydiqa_dev.json")}  # fmt: skip
        steps = {"commonsenseqa": 300, "tydiqa_en": 200}[name]
        args = arguments(options, name, steps, batch=8 if name == "tydiqa_en" else 16, save=True)
        publish = PublishCheckpoints(namespace="local")
        trainer = IntermediateTrainer(base=BASE, args=args, task=task, callbacks=[publish], **data)
        trainer.train()
        score = trainer.evaluate()[f"eval_{task.metric}"]
        trainer.save_model(str(options.out / name))  # the embedded Hub is gone with this program, the folder stays
        report(options, {"phase": "intermediate", "task": name, "steps": args.max_steps, "score": score})


def evaluate(options):
    """Phase three: each target from the plain and from the intermediate encoders, in every language."""
    import pandas as pd

    from hf_stilts import TargetTrainer, load_intermediate, load_task, zero_shot
    from hf_stilts.models.body import load_body, load_tokenizer

    tables = []
    limit = max(4, int(100 * options.scale))
    tokenizer = load_tokenizer(BASE)
    spans = squad_rows(options.raw / "squad_v2" / "dev-v2.0.json", leave_out=options.raw / "xquad" / "xquad.en.json")
    for init in (None, *INTERMEDIATE):
        encoder = load_intermediate(init, base=BASE, namespace="local") if init else load_body(BASE)[0]
        task = load_task("tatoeba")
        languages = [code for code in task.languages if code not in ("az", "lt", "pl", "ro", "uk")]  # XTREME's 36
        found = [zero_shot(encoder, task, languages, tokenizer=tokenizer, limit=None if options.scale == 1 else limit)]
        for name, steps in (("udpos", 200), ("xquad", 120)):
            task = load_task(name)
            data = {"train_dataset": spans, "eval_dataset": spans.select(range(100))} if name == "xquad" else {}
            start = {"base": BASE, "init": init, "namespace": "local" if init else None}
            args = arguments(options, f"{name}-from-{init}", steps, batch=8 if name == "xquad" else 16)
            trainer = TargetTrainer(args=args, task=task, **start, **data)
            trainer.train()
            codes = [code for code in task.languages if has_rows(task, code)]
            found.append(zero_shot(trainer.model, task, codes, tokenizer=tokenizer, limit=limit))
        table = pd.concat(found).assign(intermediate=init or "none")
        tables.append(table)
        main = table[table["main"]].groupby("task", sort=False)["score"]
        print(init or "none", {task: round(score, 2) for task, score in main.mean().items()}, flush=True)
    table = pd.concat(tables)
    table.to_json(options.out / "results.jsonl", orient="records", lines=True)
    main = table[table["main"]]
    print(main.pivot_table(index="intermediate", columns="task", values="score", sort=False).round(2).to_string())
    by_language = main.pivot_table(index=["task", "language"], columns="intermediate", values="score", sort=False)
    print(by_language.round(1).to_string())


def pretrain(options):
    """A tokenizer and an XLM-R-shaped masked LM from scratch, on text that no evaluation set holds."""
    import torch
    from datasets import Dataset
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    from hf_stilts import IntermediateTrainer, Task

    torch.manual_seed(options.seed)
    alone, pairs = sorted(set(text(options.raw))), list(translations(options.raw))
    tokenizer = unigram(alone)
    width, layers = (512, 8) if torch.cuda.is_available() else (options.width, 4)  # on a GPU the same, only more of it
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=386, hidden_size=width, num_hidden_layers=layers,
        num_attention_heads=width // 32, intermediate_size=4 * width,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,  # it sees each text a few times at most
    )  # fmt: skip
    task = Task(kind="fill-mask", dataset="local/text", name="text")
    trainer = IntermediateTrainer(
        XLMRobertaForMaskedLM(config),
        arguments(options, "base", options.steps, batch=32, rate=2e-3),
        task=task,
        processing_class=tokenizer,
        max_length=128,
        train_dataset=Dataset.from_dict({"text": [*alone, *pairs]}),
        eval_dataset=Dataset.from_dict({"text": alone[::400]}),
    )
    trainer.train()
    trainer.save_model(options.out / "base")
    report(options, {"phase": "pretraining", "texts": len(alone), "pairs": len(pairs), **trainer.evaluate()})


def text(raw):
    """Monolingual text: NTREX, the paragraphs of TyDiQA, the training and dev sentences of UD."""
    for side in ntrex(raw).values():
        yield from side
    for name in TYDIQA:
        for article in json.loads((raw / "tydiqa_goldp" / f"{name}.json").read_text("utf-8"))["data"]:
            yield from (paragraph["context"] for paragraph in article["paragraphs"])
    for file in sorted((raw / "ud").glob("*/*-ud-train.conllu")) + sorted((raw / "ud").glob("*/*-ud-dev.conllu")):
        lines = file.read_text("utf-8").split("\n")
        yield from (line.removeprefix("# text = ") for line in lines if line.startswith("# text = "))


def translations(raw):
    """Translation language modelling (Conneau and Lample 2019): a sentence and its translation in one window."""
    sides = ntrex(raw)
    english = sides.pop("en")
    for place, side in enumerate(sides.values()):
        for line, pair in enumerate(zip(english, side, strict=True)):
            yield " ".join(pair if (line + place) % 2 else pair[::-1])


def ntrex(raw):
    """The first 700 lines of NTREX in every language; the others stay unseen, for mining."""
    files = {"en": "src.eng"} | {language: f"ref.{code}" for language, code in NTREX.items()}
    folder = raw / "ntrex"
    return {
        language: (folder / f"newstest2019-{name}.txt").read_text("utf-8").split("\n")[:700]
        for language, name in files.items()
    }


def unigram(texts):
    """XLM-R's kind of tokenizer, 12,000 pieces."""
    from tokenizers import SentencePieceUnigramTokenizer
    from transformers import XLMRobertaTokenizer

    trained = SentencePieceUnigramTokenizer()
    sample = [text[:150] for text in texts[::3]]  # a tenth of the characters: the pieces are much the same
    trained.train_from_iterator(
        sample, vocab_size=12_000, show_progress=False, unk_token="<unk>", special_tokens=["<unk>"]
    )
    pieces = [(piece, score) for piece, score in json.loads(trained.to_str())["model"]["vocab"] if piece != "<unk>"]
    special = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    return XLMRobertaTokenizer(vocab=[*special, *pieces, ("<mask>", 0.0)], model_max_length=384)


def span_task():
    """English TyDiQA-GoldP as an intermediate task, its rows read from the publisher's file."""
    from hf_stilts import Task

    return Task(
        kind="question-answering", dataset="google-research-datasets/tydiqa", config="secondary_task", metric="f1",
        license="apache-2.0", name="tydiqa_en",
    )  # fmt: skip


def squad_rows(file, leave_out=None):
    """Answerable questions of a file in SQuAD's format, without the paragraphs of another such file."""
    from datasets import Dataset

    def paragraphs(path):
        articles = json.loads(path.read_text("utf-8"))["data"]
        return [paragraph for article in articles for paragraph in article["paragraphs"]]

    unwanted = {paragraph["context"] for paragraph in paragraphs(leave_out)} if leave_out else set()
    return Dataset.from_list(
        [
            {
                "id": question["id"], "question": question["question"], "context": paragraph["context"],
                "answers": {key: [answer[key] for answer in question["answers"]] for key in ("text", "answer_start")},
            }
            for paragraph in paragraphs(file)
            for question in paragraph["qas"]
            if question["answers"] and paragraph["context"] not in unwanted
        ]
    )  # fmt: skip


def has_rows(task, language):
    """Whether the raw files had this language's test split."""
    from hf_stilts.data.load import splits

    try:
        return "test" in splits(task, language)
    except FileNotFoundError:
        return False


def arguments(options, name, steps, *, batch=16, rate=3e-4, save=False):
    from transformers import TrainingArguments

    steps = max(2, int(steps * options.scale))
    saving = {"save_strategy": "no"}
    if save:
        saving = {"save_strategy": "steps", "save_steps": max(1, steps // 3), "save_only_model": True}
    return TrainingArguments(
        str(options.out / name), max_steps=steps, per_device_train_batch_size=batch, learning_rate=rate,
        warmup_steps=0.1, seed=options.seed, dataloader_pin_memory=False, logging_steps=max(1, steps // 5),
        disable_tqdm=True, train_sampling_strategy="group_by_length", **saving,
    )  # fmt: skip


def report(options, row):
    print(row, flush=True)
    with (options.out / "training.jsonl").open("a") as lines:
        lines.write(json.dumps(row, default=float) + "\n")


if __name__ == "__main__":
    main()

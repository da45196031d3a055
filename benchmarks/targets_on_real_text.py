"""Phase three on real text, as far as open rows reach: every target, from no intermediate checkpoint and from some.

    python benchmarks/targets_on_real_text.py --raw DIR --encoder FOLDER --intermediate FOLDER FOLDER --out DIR
    python benchmarks/targets_on_real_text.py --raw DIR --encoder FOLDER --out runs/try --steps 2 --limit 4   # a minute

`--raw` holds `tatoeba/`, `ud/`, `uner/`, `xquad/`, `squad_v2/`, `tydiqa_goldp/`, `xcopa/`, `copa_balanced/`,
`cosmosqa/`, `pawsx/`, `lareqa/xquad-r/` and `ntrex/` as their publishers have them. What a benchmark trains or tests on
and is not among them has a stand-in, which the table names. Run again, it goes on where it was; other seeds add to the
medians. The last line of the output is the table as JSON.
"""

import argparse
import csv
import json
import shutil
from pathlib import Path

from hf_stilts.benchmark import Benchmark
from hf_stilts.data.load import splits
from hf_stilts.dataset_scripts import build
from hf_stilts.evaluation.results import read_results
from hf_stilts.languages import LANGUAGES
from hf_stilts.studies.benchmark import label_of, run_benchmark
from hf_stilts.studies.gains import gains
from hf_stilts.task import load_task

REAL_TEXT = Benchmark(
    name="real-text",
    title="Targets on real text",
    languages=tuple(LANGUAGES),
    groups={
        "classification": ("pawsx", "xcopa"),
        "tagging": ("udpos", "panx"),
        "qa": ("xquad", "tydiqa"),
        "retrieval": ("bucc2018", "tatoeba", "lareqa"),
    },
)
ROWS = {
    "pawsx": "trained on the published English test rows, tested on the dev rows, which are parallel",
    "xcopa": "trained on CosmosQA dev (three of its four answers) in place of Social IQa, then on Balanced COPA",
    "udpos": "trained on 3,000 sentences of English EWT; treebanks of UD 2.16 to 2.18",
    "panx": "Universal NER in place of PAN-X, trained on English EWT dev, of which the last 400 sentences are dev",
    "xquad": "trained on the answerable questions of half of SQuAD 2.0 dev, without XQuAD's paragraphs",
    "tydiqa": "trained on TyDiQA English",
    "bucc2018": "NTREX lines 701-1000 with distractors in place of BUCC: of 150 lines each, 50 pairs in 100 + 100",
    "tatoeba": "the encoder as it is",
    "lareqa": "XQuAD-R of five languages; trained on the same questions as XQuAD",
}
NTREX = {"de": "deu", "fr": "fra", "ru": "rus", "zh": "zho-CN"}
# Rows that are dev and not train; of SQuAD's the paragraphs.
SIQA_DEV, NER_DEV, PAIRS_DEV, PARAGRAPHS_DEV = 400, 400, 200, 60


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, required=True)
    parser.add_argument("--encoder", required=True, help="folder or Hub name of the public model")
    parser.add_argument("--intermediate", nargs="*", default=[], help="folders or Hub names of checkpoints from it")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300, help="of each training")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--limit", type=int, help="rows of each language that are scored")
    parser.add_argument("--tasks", help="comma-separated; default: all")
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    chosen = options.tasks.split(",") if options.tasks else REAL_TEXT.tasks
    mirror = build_mirror(options.raw, options.out, chosen)
    flags = [
        *("--max_steps", str(options.steps), "--per_device_train_batch_size", str(options.batch)),
        *("--learning_rate", str(options.rate), "--seed", str(options.seed), "--warmup_steps", "0.1"),
        *("--save_strategy", "no", "--eval_strategy", "no", "--load_best_model_at_end", "false"),
        *("--disable_tqdm", "true", "--report_to", "none", "--dataloader_pin_memory", "false"),
    ]
    for init in (None, *options.intermediate):
        label = label_of(init) if init else "none"
        for task in chosen:
            languages = [code for code in REAL_TEXT.languages_of(task) if has_rows(task, code, mirror)]
            table = run_benchmark(
                REAL_TEXT, options.encoder, init=init, out=options.out / "runs" / f"{label}-{options.seed}",
                tasks=[task], languages=languages, flags=flags, limit=options.limit, data_dir=mirror,
            )  # fmt: skip
            score = table[table["main"]]["score"].mean()
            print(f"{task} from {label}: {score:.2f}, mean over {len(languages)} languages", flush=True)
    report(options.out, chosen)


def report(out, chosen):
    """The table, medians over seeds, and what the gains are worth."""
    files = sorted(out.glob("runs/*/results.jsonl"))
    rows = [row for file in files for row in read_results(file).assign(run=str(file)).to_dict("records")]
    rows = [row for row in rows if row["main"] and row["task"] in chosen]
    starts = sorted({row["intermediate"] for row in rows}, key=lambda name: (name != "none", name))
    print("\n| target | languages | metric | " + " | ".join(starts) + " | rows |")
    print("|---" * (len(starts) + 4) + "|")
    table = []
    for task in chosen:
        own = [row for row in rows if row["task"] == task]
        scores = []
        for start in starts:
            scores.append(median_of_means([row for row in own if row["intermediate"] == start]))
        languages = len({row["language"] for row in own})
        cells = " | ".join("-" if score is None else f"{score:.1f}" for score in scores)
        print(f"| {task} | {languages} | {own[0]['metric']} | {cells} | {ROWS[task]} |")
        table.append({"task": task, "languages": languages, "metric": own[0]["metric"]})
        table[-1] |= {"scores": dict(zip(starts, scores, strict=True))}
    print("\nNot run, since no openly licensed rows are at hand: XNLI, MLQA, Mewsli-X, PAN-X and BUCC themselves.")
    found = {"table": table, "seeds": len({row["run"] for row in rows}) / len(starts)}
    if len(starts) > 1:
        gained = gains(files, benchmark=REAL_TEXT)
        for row in gained.tasks:
            print(
                f"{row['intermediate']} on {row['task']}: {row['gain']:+.1f}, {row['up']} languages up, {row['down']} "
                f"down, p = {row['p']:.3f}, corrected {row['p_holm']:.3f}"
            )
        found |= vars(gained)
    print(json.dumps(found))


def median_of_means(rows):
    """Median over seeds of the mean over languages."""
    runs = {}
    for row in rows:
        runs.setdefault(row["run"], []).append(row["score"])
    means = sorted(sum(scores) / len(scores) for scores in runs.values())
    middle = len(means) // 2
    return (means[middle] + means[~middle]) / 2 if means else None


def has_rows(task, language, mirror):
    try:
        return "test" in splits(task, language, mirror)
    except FileNotFoundError:
        return False


def build_mirror(raw, out, chosen):
    """Convert what is needed, by the converters of the real tasks; stand-ins are first laid out as their files are."""
    sources = {task: load_task(task).train or (task,) for task in chosen}
    sources = dict.fromkeys(STORED.get(name, name) for task, train in sources.items() for name in (*train, task))
    for name in sources:
        done, place = out / "raw" / f"{name}.done", out / "raw" / name
        if done.exists():
            continue
        if name in STAGES:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            STAGES[name](raw, place)
        else:
            place = raw / FOLDERS.get(name, name)
        rows = sum(part.rows for part in build(name, place, out / "mirror", checksum=False).parts)
        print(f"built {name}: {rows} rows", flush=True)
        done.parent.mkdir(parents=True, exist_ok=True)
        done.touch()
    return out / "mirror"


def lines(path):
    return path.read_text("utf-8").rstrip("\n").split("\n")


def write(path, rows):
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def stage_ner(raw, folder):
    """Universal NER; English has no small enough train file, so its dev file becomes train and dev."""
    for file in (raw / "uner").glob("*/*.iob2"):
        shutil.copy(file, folder / file.name)
    dev = folder / "en_ewt-ud-dev.iob2"
    sentences = dev.read_text("utf-8").strip("\n").split("\n\n")
    for name, part in (("train", sentences[:-NER_DEV]), ("dev", sentences[-NER_DEV:])):
        write(folder / f"en_ewt-ud-{name}.iob2", [f"{sentence}\n" for sentence in part])


def stage_squad(raw, folder):
    """Answerable questions of SQuAD 2.0, without the paragraphs of XQuAD (and so of LAReQA)."""
    contexts = []
    for article in json.loads((raw / "squad_v2" / "dev-v2.0.json").read_text("utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            answerable = [question for question in paragraph["qas"] if question["answers"]]
            contexts.append({**paragraph, "qas": answerable})
    unwanted = set()
    for article in json.loads((raw / "xquad" / "xquad.en.json").read_text("utf-8"))["data"]:
        unwanted.update(paragraph["context"] for paragraph in article["paragraphs"])
    kept = [paragraph for paragraph in contexts if paragraph["qas"] and paragraph["context"] not in unwanted]
    for name, part in (("train", kept[:-PARAGRAPHS_DEV]), ("dev", kept[-PARAGRAPHS_DEV:])):
        content = {"version": "1.1", "data": [{"title": "", "paragraphs": part}]}
        (folder / f"{name}-v1.1.json").write_text(json.dumps(content), encoding="utf-8")


def stage_siqa(raw, folder):
    """CosmosQA in the files of Social IQa, the right answer and two wrong ones."""
    items, labels = [], []
    with (raw / "cosmosqa" / "valid.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            right = int(row["label"])
            answers = sorted([right, *[place for place in range(4) if place != right][:2]])
            texts = {f"answer{name}": row[f"answer{place}"] for name, place in zip("ABC", answers, strict=True)}
            items.append(json.dumps({"context": row["context"], "question": row["question"], **texts}))
            labels.append(str(answers.index(right) + 1))
    for name, part in (("train", slice(None, -SIQA_DEV)), ("dev", slice(-SIQA_DEV, None))):
        write(folder / f"{name}.jsonl", items[part])
        write(folder / f"{name}-labels.lst", labels[part])


def stage_pairs(raw, folder):
    """PAWS-X: only its English test and its English and Chinese dev files are at hand; dev files are parallel."""
    train = lines(raw / "pawsx" / "test-en.tsv")
    write(folder / "train-en.tsv", train[:-PAIRS_DEV])
    write(folder / "dev-en.tsv", train[-PAIRS_DEV:])
    for code in ("en", "zh"):
        shutil.copy(raw / "pawsx" / f"dev-{code}.tsv", folder / f"test-{code}.tsv")


def stage_mining(raw, folder):
    """NTREX has no unmatched sentences, so they are made: the foreign side lacks the last lines, English the first."""
    english = lines(raw / "ntrex" / "newstest2019-src.eng.txt")
    for code, name in NTREX.items():
        foreign = lines(raw / "ntrex" / f"newstest2019-ref.{name}.txt")
        for begin, part in ((700, "sample"), (850, "training")):
            stem = folder / f"{code}-en.{part}"
            write(Path(f"{stem}.{code}"), [f"{code}-{row:09}\t{foreign[row]}" for row in range(begin, begin + 100)])
            write(Path(f"{stem}.en"), [f"en-{row:09}\t{english[row]}" for row in range(begin + 50, begin + 150)])
            write(
                Path(f"{stem}.gold"), [f"{code}-{row:09}\ten-{row:09}" for row in range(begin + 50, begin + 100)]
            )  # fmt: skip


FOLDERS = {"udpos": "ud", "tydiqa": "tydiqa_goldp", "copa": "copa_balanced", "lareqa": "lareqa/xquad-r"}
STORED = {"squad_sentences": "squad_v1"}  # the same files
STAGES = {
    "panx": stage_ner, "squad_v1": stage_squad, "siqa": stage_siqa, "pawsx": stage_pairs, "bucc2018": stage_mining,
}  # fmt: skip

if __name__ == "__main__":
    main()

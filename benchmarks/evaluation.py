"""Evaluation beside its peers, interleaved in one process: ratios of wall and of processor time, equal results first.

    python benchmarks/evaluation.py                                   # all parts, small, in about a minute
    python benchmarks/evaluation.py predict --sequences 20000 --rounds 1
    python benchmarks/evaluation.py answers --windows 10000 --rounds 3
    python benchmarks/evaluation.py entities --sentences 50000
    python benchmarks/evaluation.py squad --questions 20000
    python benchmarks/evaluation.py share --mirror DIR --encoder DIR --rows 200   # which share is not the model

Peers: the stock `Trainer.predict`, batch 8; `postprocess_qa_predictions` of transformers' examples (`utils_qa.py`,
which no wheel holds), as its source reads; seqeval as `run_ner.py` and `evaluate`'s module call it (`pip install
'hf_stilts[bench]'`); SQuAD's `evaluate-v1.1.py` and MLQA's `mlqa_evaluation_v1.py`, as their sources read. The text is
made of random words, the models are random.
"""

import argparse
import gc
import re
import resource
import string
import subprocess
import sys
import tempfile
import time
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from datasets import Dataset

from hf_stilts.kinds import load_kind
from hf_stilts.kinds.spans import search
from hf_stilts.metrics.chunk_f1.chunks import Tags, chunk_scores, count_chunks, each_type, overall, token_accuracy
from hf_stilts.metrics.multilingual_qa.answers import answer_scores
from hf_stilts.task import Task


def race(runs: dict[str, Callable], peer: str, rounds: int) -> dict[str, object]:
    """Run all of them in turn, `rounds` times; print the median ratio of the peer's time to each one's.

    The runs other than the peer's are run once before: what they load or compile on first use is no part of the time.
    """
    seconds, results = {name: [] for name in runs}, {name: run() for name, run in runs.items() if name != peer}
    for _ in range(rounds):
        for name, run in runs.items():
            gc.collect()  # what one leaves behind is not cleared away at the next one's expense
            wall, cpu = time.perf_counter(), time.process_time()
            results[name] = run()
            seconds[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    for name, took in seconds.items():
        line = f"  {name:44s} {np.median(took, axis=0)[0]:9.3f} s"
        if name != peer:
            ratio = np.divide(seconds[peer], took)
            line += f"   {np.median(ratio[:, 0]):6.2f}x (cpu {np.median(ratio[:, 1]):.2f}x,"
            line += f" wall {ratio[:, 0].min():.2f}-{ratio[:, 0].max():.2f})"
        print(line, flush=True)
    return results


def small_model(head: str, **settings):
    """A small BERT with random weights; same seed, same weights."""
    import transformers

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=2000, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, **settings
    )
    return getattr(transformers, head)(config).eval()


def word_tokenizer():
    """A tokenizer of 1,900 words with a piece each."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = {word: number for number, word in enumerate([*special, *(f"w{n}" for n in range(1900))])}
    pieces = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    pieces.pre_tokenizer = pre_tokenizers.Whitespace()
    pieces.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {f"{name[1:-1].lower()}_token": name for name in special}
    return PreTrainedTokenizerFast(tokenizer_object=pieces, model_input_names=["input_ids", "attention_mask"], **names)


TAGS = Task(
    kind="token-classification", dataset="x/y", name="tags",
    labels=("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"),
)  # fmt: skip
ANSWERS = Task(kind="question-answering", dataset="x/y", name="answers")


def predict_part(sequences: int, rounds: int) -> None:
    """Our loop against `Trainer.predict` on the same features, and its growth with the number of sequences."""
    from transformers import DataCollatorForTokenClassification, Trainer, TrainingArguments

    from hf_stilts.evaluation.predict import predict

    print(f"predict: {sequences} sequences of 4 to 60 words, one small layer, 7 tags", flush=True)
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 60, sequences)
    sentences = []
    for length in lengths:
        sentences.append([f"w{word}" for word in rng.integers(0, 1900, length)])
    rows = Dataset.from_dict({"tokens": sentences})
    model, tokenizer = small_model("BertForTokenClassification", num_labels=len(TAGS.labels)), word_tokenizer()
    kind = load_kind(TAGS.kind)
    features = kind.features(TAGS, rows, tokenizer, max_length=128, train=False)  # beforehand, for both

    def stock(count: int = sequences):
        with tempfile.TemporaryDirectory() as folder:
            arguments = TrainingArguments(
                folder, per_device_eval_batch_size=8, report_to=[], disable_tqdm=True, use_cpu=True
            )
            trainer = Trainer(model, arguments, data_collator=DataCollatorForTokenClassification(tokenizer))
            some = features.select(range(count)).select_columns(["input_ids", "attention_mask", "labels"])
            found = trainer.predict(some).predictions.argmax(-1)
        starts = features["starts"][:count]
        return [[TAGS.labels[tag] for tag in row[start]] for row, start in zip(found, starts, strict=True)]

    def ours(count: int = sequences):
        some = features.select(range(count))
        with mock.patch.object(type(kind), "features", lambda *_, **__: some):
            return predict(model, TAGS, rows.select(range(count)), tokenizer, max_length=128)

    few = min(200, sequences)
    assert ours(few) == stock(few), "predictions differ"
    results = race({"Trainer.predict, batch 8": stock, "predict": ours}, "Trainer.predict, batch 8", rounds)
    assert results["Trainer.predict, batch 8"] == results["predict"], "predictions differ"
    quarter, whole = ([], [])
    for _ in range(max(rounds, 3)):
        for count, took in ((sequences // 4, quarter), (sequences, whole)):
            begin = time.perf_counter()
            ours(count)
            took.append(time.perf_counter() - begin)
    print(f"  time(N) / time(N / 4) {np.median(whole) / np.median(quarter):22.2f}, linear is 4")


def postprocess(examples, features, logits, n_best: int = 20, max_answer: int = 30) -> dict[str, str]:
    """`postprocess_qa_predictions` of transformers' examples/pytorch/question-answering/utils_qa.py, as it reads.

    Without its progress bar, its options that are off by default and its files; what it makes for them it makes always.
    It reads each feature as a row three times, makes a dictionary of each of up to 400 pairs, sorts all of them, and
    gives twenty a text, a probability and plain numbers.
    """
    all_starts, all_ends = logits
    place_of = {name: place for place, name in enumerate(examples["id"])}
    by_example: dict[int, list[int]] = {}
    for place, feature in enumerate(features):
        by_example.setdefault(place_of[feature["example_id"]], []).append(place)
    answers, n_best_answers = {}, {}
    for number, example in enumerate(examples):
        null, candidates = None, []
        for place in by_example[number]:
            starts, ends = all_starts[place], all_ends[place]
            offsets = features[place]["offset_mapping"]
            widest = features[place].get("token_is_max_context", None)
            score = starts[0] + ends[0]
            if null is None or null["score"] > score:
                null = {"offsets": (0, 0), "score": score, "start_logit": starts[0], "end_logit": ends[0]}
            best_starts = np.argsort(starts)[-1 : -n_best - 1 : -1].tolist()
            best_ends = np.argsort(ends)[-1 : -n_best - 1 : -1].tolist()
            for first in best_starts:
                for last in best_ends:
                    outside = first >= len(offsets) or last >= len(offsets)
                    if outside or offsets[first] is None or offsets[last] is None:
                        continue
                    if last < first or last - first + 1 > max_answer:
                        continue
                    if widest is not None and not widest.get(str(first), False):
                        continue
                    candidates.append(
                        {
                            "offsets": (offsets[first][0], offsets[last][1]),
                            "score": starts[first] + ends[last],
                            "start_logit": starts[first],
                            "end_logit": ends[last],
                        }
                    )
        best = sorted(candidates, key=lambda candidate: candidate["score"], reverse=True)[:n_best]
        for candidate in best:
            first, last = candidate.pop("offsets")
            candidate["text"] = example["context"][first:last]
        if not best or (len(best) == 1 and best[0]["text"] == ""):
            best.insert(0, {"text": "empty", "start_logit": 0.0, "end_logit": 0.0, "score": 0.0})
        scores = np.array([candidate.pop("score") for candidate in best])
        heights = np.exp(scores - np.max(scores))
        for share, candidate in zip(heights / heights.sum(), best, strict=True):
            candidate["probability"] = share
        answers[example["id"]] = best[0]["text"]
        n_best_answers[example["id"]] = []
        for candidate in best:
            plain = {name: float(v) if isinstance(v, np.floating) else v for name, v in candidate.items()}
            n_best_answers[example["id"]].append(plain)
    return answers


def answers_part(windows: int, rounds: int) -> None:
    """Our search for answers against the example scripts', on the same logits of the same windows."""
    rng = np.random.default_rng(0)
    count = max(windows // 3, 1)
    contexts = []
    for size in rng.integers(150, 650, count):
        contexts.append(" ".join(f"w{word}" for word in rng.integers(0, 1900, size)))
    rows = Dataset.from_dict(
        {
            "id": [f"q{number}" for number in range(count)],
            "question": ["w1 w2 w3 w4 w5 w6 w7 w8"] * count,
            "context": contexts,
            "answers": [{"text": [context[:2]], "answer_start": [0]} for context in contexts],
        }
    )
    kind = load_kind(ANSWERS.kind)
    features = kind.features(ANSWERS, rows, word_tokenizer(), max_length=256, train=False)
    ids, lengths = rows["id"][:], [len(tokens) for tokens in features["input_ids"]]
    print(f"answers: {len(features)} windows of {np.mean(lengths):.0f} tokens, {count} questions", flush=True)
    # Logits as a model gives them: noise, and a few tokens far above it.
    outputs = [rng.normal(0, 2, (length, 2)).astype(np.float32) for length in lengths]
    for output in outputs:
        output[rng.integers(0, len(output), 4)] += 6
    offsets = []
    for starts, ends in zip(features["starts"], features["ends"], strict=True):
        offsets.append([None if first < 0 else [first, last] for first, last in zip(starts, ends, strict=True)])
    theirs = Dataset.from_dict(
        {
            "input_ids": features["input_ids"][:],
            "attention_mask": features["attention_mask"][:],
            "example_id": [ids[row] for row in features["row"]],
            "offset_mapping": offsets,
        }
    )
    padded = np.full((2, len(outputs), max(lengths)), -100.0, dtype=np.float32)  # as a Trainer joins batches
    for place, output in enumerate(outputs):
        padded[:, place, : len(output)] = output.T
    peer = "postprocess_qa_predictions, as it reads"
    results = race(
        {
            peer: lambda: postprocess(rows, theirs, padded),
            "decode": lambda: kind.decode(ANSWERS, rows, features, outputs),
            "n_best_answers": lambda: kind.n_best_answers(rows, features, outputs),
        },
        peer,
        rounds,
    )
    expected = [results[peer][name] for name in ids]
    assert results["decode"] == [answer.strip() for answer in expected], "answers differ"
    assert [best[0]["text"] for best in results["n_best_answers"]] == results["decode"], "n-best answers differ"
    assert search(features, outputs, 20, 30).row.tolist() == features["row"][:]
    print(f"  identical answers: {len(expected)} of {len(expected)}")


def entities_part(sentences: int, rounds: int) -> None:
    """Entity F1 by type and accuracy, from arrays as a Trainer gives them and from lists of tags."""
    try:
        from seqeval.metrics import accuracy_score, classification_report
    except ImportError:
        sys.exit("entities: seqeval is missing. Type: pip install 'hf_stilts[bench]'")
    warnings.simplefilter("ignore")  # seqeval warns of types without a prediction
    print(f"entities: {sentences} sentences of 3 to 20 words", flush=True)
    rng, names = np.random.default_rng(0), list(TAGS.labels)
    lengths = rng.integers(3, 20, sequences := sentences)
    labels = np.full((sequences, 24), -100)
    inside = np.arange(24) < lengths[:, None]
    labels[inside] = rng.choice(7, inside.sum(), p=[0.7, *[0.05] * 6])
    found = np.where(rng.random(labels.shape) < 0.85, np.clip(labels, 0, None), rng.integers(0, 7, labels.shape))

    def run_ner():
        """`compute_metrics` of run_ner.py, and what `evaluate`'s seqeval module does with its lists."""
        predicted, expected = [], []
        for row, gold in zip(found, labels, strict=True):
            predicted.append([names[tag] for tag, label in zip(row, gold, strict=True) if label != -100])
            expected.append([names[label] for label in gold if label != -100])
        report = classification_report(expected, predicted, output_dict=True)
        return report, accuracy_score(expected, predicted)

    def arrays():
        counted = labels != -100
        size = counted.sum(axis=1)
        gold, predicted = Tags(labels[counted], size), Tags(found[counted], size)
        counts = count_chunks(gold, predicted, names, "iob2")
        return overall(counts), each_type(counts), token_accuracy(gold, predicted)

    lists = ([], [])
    for gold, tags, length in zip(labels, found, lengths, strict=True):
        lists[0].append([names[tag] for tag in gold[:length]])
        lists[1].append([names[tag] for tag in tags[:length]])
    results = race(
        {
            "seqeval, the way of run_ner.py": run_ner,
            "chunk_f1, from arrays": arrays,
            "chunk_f1, from lists of tags": lambda: chunk_scores(*lists, "iob2"),
        },
        "seqeval, the way of run_ner.py",
        rounds,
    )
    (report, accuracy), (scores, types, own) = (
        results["seqeval, the way of run_ner.py"],
        results["chunk_f1, from arrays"],
    )
    assert np.isclose(accuracy, own, rtol=0, atol=1e-12) and scores == results["chunk_f1, from lists of tags"]
    for name, part in {"micro avg": scores, **types}.items():
        pairs = ((report[name]["f1-score"], part["f1"]), (report[name]["precision"], part["precision"]))
        assert np.allclose(*zip(*pairs, strict=True), rtol=0, atol=1e-12), name
    print(f"  equal, F1 {100 * scores['f1']:.4f}, each type and accuracy too")


PUNCTUATION = {chr(i) for i in range(sys.maxunicode) if unicodedata.category(chr(i))[0] == "P"} | {*string.punctuation}


def official_squad(text: str) -> str:
    marks = set(string.punctuation)
    kept = "".join(character for character in text.lower() if character not in marks)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def official_mlqa(text: str) -> str:
    kept = "".join(character for character in text.lower() if character not in PUNCTUATION)
    articles = r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"
    return " ".join(token for token in re.sub(articles, " ", kept).split() if token.strip() != "")


def official_f1(prediction: str, gold: str, normal: Callable[[str], str]) -> float:
    found, expected = normal(prediction).split(), normal(gold).split()
    shared = sum((Counter(found) & Counter(expected)).values())
    if shared == 0:
        return 0
    precision, recall = shared / len(found), shared / len(expected)
    return 2 * precision * recall / (precision + recall)


def official(predictions: list[str], golds: list[list[str]], normal: Callable[[str], str]) -> tuple[float, float]:
    """The loop of both scripts: every prediction is normalised anew for every gold answer and for either score."""
    exact = f1 = 0.0
    for prediction, gold in zip(predictions, golds, strict=True):
        exact += max(normal(prediction) == normal(text) for text in gold)
        f1 += max(official_f1(prediction, text, normal) for text in gold)
    return 100.0 * exact / len(golds), 100.0 * f1 / len(golds)


def squad_part(questions: int, rounds: int) -> None:
    """EM and F1 with one gold answer a question, no text twice; and with three, of which some agree, as SQuAD's dev."""
    rng = np.random.default_rng(0)
    words = [f"word{number}" for number in range(5000)] + ["the", "a", "U.S.", "1,999", "O'Neil", "die", "Ein"] * 40

    def phrase() -> str:
        return " ".join(rng.choice(words, rng.integers(1, 7))).capitalize()

    one = [[f"{phrase()} {number}"] for number in range(questions)]
    three = [[gold, gold if rng.random() < 0.6 else phrase(), f"{gold} {phrase()}"] for (gold,) in one]
    predictions = [gold if rng.random() < 0.5 else " ".join(gold.split()[1:]) + " x" for (gold,) in one]
    for title, golds in (("one gold answer", one), ("three gold answers", three)):
        for normalisation, normal in (("squad", official_squad), ("mlqa", official_mlqa)):
            print(f"squad: {questions} questions, {title}, normalisation {normalisation}", flush=True)
            peer = "the official loop, as it reads"
            results = race(
                {
                    peer: lambda golds=golds, normal=normal: official(predictions, golds, normal),
                    "answer_scores": lambda golds=golds, name=normalisation: answer_scores(
                        predictions, golds, normalisation=name, language="de"
                    ),
                },
                peer,
                rounds,
            )
            ours = results["answer_scores"]
            assert results[peer] == (ours["exact_match"], ours["f1"]), "scores differ"
            print(f"  equal to the last bit: EM {ours['exact_match']:.2f}, F1 {ours['f1']:.2f}")


START = "import hf_stilts.cli.evaluation, hf_stilts.studies.benchmark"
STAGES = ("start", "loading model", "loading rows", "tokenising", "model", "decoding, scoring", "search", "writing")


class Stages:
    """Processor time of each stage; what one stage does inside another counts for the inner one alone."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.running = ["other"]
        self.since = time.process_time()

    def switch(self) -> None:
        """Give the time since the last switch to the stage that runs."""
        now = time.process_time()
        self.seconds[self.running[-1]] += now - self.since
        self.since = now

    def timed(self, owner: Any, name: str, stage: str) -> Any:
        """A patch of a function which counts its time for a stage."""
        inner = getattr(owner, name)

        def outer(*positional: Any, **named: Any) -> Any:
            self.switch()
            self.running.append(stage)
            try:
                return inner(*positional, **named)
            finally:
                self.switch()
                self.running.pop()

        return mock.patch.object(owner, name, outer)


def write_finished_target(task: Task, body: Any, tokenizer: Any, folder: Path) -> None:
    """A checkpoint as a training leaves it: the encoder with a head for the task, here a random one."""
    from hf_stilts.models.transfer import with_fresh_head

    model = with_fresh_head(str(body), task)[0] if task.has_head else body_of(body)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def body_of(folder: Path) -> Any:
    """The encoder alone."""
    from transformers import AutoModel

    return AutoModel.from_pretrained(folder)


def write_small_encoder(encoder: Path, folder: Path) -> Path:
    """An encoder of XLM-R's form, 4 layers, 256 wide, with random weights and the tokenizer of another."""
    from transformers import AutoModel, AutoTokenizer, XLMRobertaConfig

    tokenizer = AutoTokenizer.from_pretrained(encoder)
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), hidden_size=256, num_hidden_layers=4, num_attention_heads=4,
        intermediate_size=1024, max_position_embeddings=514, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def timed_stages(stages: Stages, model_classes: list[type]) -> ExitStack:
    """Patches of the functions that `score_languages` consists of, for as long as the result is open."""
    from hf_stilts.evaluation import zero_shot
    from hf_stilts.kinds import bitext_mining, bitext_retrieval
    from hf_stilts.retrieval import encode as encoding

    patched = ExitStack()
    for name in ("load", "load_candidates", "present", "splits", "labelled", "data_revision"):
        patched.enter_context(stages.timed(zero_shot, name, "loading rows"))
    patched.enter_context(stages.timed(zero_shot, "_opened", "loading model"))
    patched.enter_context(stages.timed(sys.modules[encoding.__module__], "tokenise", "tokenising"))
    patched.enter_context(stages.timed(bitext_retrieval, "match_translations", "search"))
    patched.enter_context(stages.timed(bitext_mining, "mine_bitext", "search"))
    for name in ("text-classification", "token-classification", "question-answering"):
        kind = type(load_kind(name))
        patched.enter_context(stages.timed(kind, "features", "tokenising"))
        patched.enter_context(stages.timed(kind, "run", "model"))
        for method in ("reduce", "decode", "score", "shares"):
            patched.enter_context(stages.timed(kind, method, "decoding, scoring"))
    for model_class in model_classes:
        patched.enter_context(stages.timed(model_class, "forward", "model"))
    return patched


def share_part(mirror: Path, encoder: Path, rows: int, *, small: bool, tasks: list[str]) -> None:
    """Processor time of XTREME's scoring by stage, start of Python included: the share that is not the model.

    Finished targets are scored in all languages that the mirror has rows of, one after another in one process, and
    the rows written as a benchmark run writes them. The features are made anew: each round has an empty cache.
    """
    from transformers import AutoTokenizer

    from hf_stilts.benchmark import load_benchmark
    from hf_stilts.data.load import present
    from hf_stilts.errors import StiltsError
    from hf_stilts.evaluation.options import ScoringOptions
    from hf_stilts.evaluation.results import predictions_file
    from hf_stilts.evaluation.zero_shot import score_languages
    from hf_stilts.files import write_lines
    from hf_stilts.task import load_task

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", START], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    benchmark, total, count = load_benchmark("xtreme"), Counter({"start": start}), 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tokenizer = AutoTokenizer.from_pretrained(encoder)
        body = write_small_encoder(encoder, folder / "body") if small else encoder
        written: list[dict[str, Any]] = []
        for name in tasks or benchmark.tasks:
            task = load_task(name)
            try:
                languages = present(task, "test", benchmark.languages_of(name), available=True, data_dir=mirror)
            except (StiltsError, FileNotFoundError):
                print(f"  {name}: the mirror has no rows")
                continue
            write_finished_target(task, body, tokenizer, folder / name)
            classes = [type(body_of(body))]
            options = ScoringOptions(languages=languages, limit=rows, data_dir=mirror)
            stages = Stages()
            with timed_stages(stages, classes):
                for result in score_languages(str(folder / name), task, options):
                    written += result.rows
                    stages.switch()
                    stages.running.append("writing")
                    write_lines(predictions_file(folder, name, result.language), result.predictions)
                    write_lines(folder / "results.jsonl", written)
                    stages.switch()
                    stages.running.pop()
            stages.switch()
            print_stages(f"{name}, {len(languages)} languages", stages.seconds)
            total.update(stages.seconds)
            count += len(languages)
    print_stages(f"all, {count} languages", total)


def print_stages(title: str, seconds: Counter[str]) -> None:
    """One line: processor time of each stage, and the share that is not the model."""
    whole = seconds.total()
    parts = [f"{stage} {seconds[stage]:.2f}" for stage in (*STAGES, "other") if stage in seconds]
    beside = 100 * (1 - seconds["model"] / whole)
    print(f"  {title}: {', '.join(parts)}; together {whole:.2f} s, not the model {beside:.1f} %", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parts = ("predict", "answers", "entities", "squad")
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"some of {', '.join(parts)}; default: all these; or share"
    )
    parser.add_argument("--sequences", type=int, default=3000, help="of predict; 20000 is the published size")
    parser.add_argument("--windows", type=int, default=1500, help="of answers; 10000 is the published size")
    parser.add_argument("--sentences", type=int, default=10000, help="of entities; 50000 is the published size")
    parser.add_argument("--questions", type=int, default=10000, help="of squad; 20000 is the published size")
    parser.add_argument("--mirror", type=Path, help="of share: a mirror with rows of XTREME's tasks")
    parser.add_argument("--encoder", type=Path, help="of share: folder of an encoder; its tokenizer is used")
    parser.add_argument("--rows", type=int, default=200, help="of share: of each language")
    parser.add_argument("--tasks", nargs="*", default=[], help="of share: some of XTREME's; default: all")
    parser.add_argument("--small", action="store_true", help="of share: a random encoder, 4 layers, 256 wide")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    unknown = set(given.parts) - {*parts, "share"}
    if unknown:
        parser.error(f"no part {unknown.pop()}; there are {', '.join(parts)}")
    torch.set_num_threads(given.threads)
    if "share" in given.parts:
        if given.parts != ["share"] or given.mirror is None or given.encoder is None:
            parser.error("share is run alone, with --mirror and --encoder")
        share_part(given.mirror, given.encoder, given.rows, small=given.small, tasks=given.tasks)
        return
    sizes = {
        "predict": given.sequences,
        "answers": given.windows,
        "entities": given.sentences,
        "squad": given.questions,
    }
    for part in given.parts or parts:
        globals()[f"{part}_part"](sizes[part], given.rounds)


if __name__ == "__main__":
    main()

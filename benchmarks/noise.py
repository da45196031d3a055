"""Misspelling beside MulTypo, interleaved in one process: sentences a second of processor time, and kinds of errors.

    python benchmarks/noise.py --text english.txt                       # a sentence a line
    python benchmarks/noise.py --text russian.txt --language ru --level 0.3
    python benchmarks/noise.py --folder texts --kinds keyboard          # texts/en.txt, texts/de.txt, ...: two tables
    python benchmarks/noise.py --evaluate udpos --model runs/udpos --languages en,th    # its share of an evaluation

MulTypo (pip install multypo --no-deps) is the peer for the 12 languages that it has; without it ours runs alone. Both
misspell the same sentences one by one at the same level. A speed is that of the fastest round, block of 50 sentences by
block, so that what else runs on the machine counts little; `first` is the first round, in which no word is known yet.
The share of each operation, the place in the word and the length of words are those of errors within a word: MulTypo
also swaps the last letter of a word with the blank behind it. A letter is what each of them takes for one: a grapheme
cluster of ours, a code point of MulTypo's.
"""

import argparse
import importlib.util
import random
import time
from collections import Counter
from pathlib import Path
from statistics import fmean, median

from hf_stilts.augmentation.clusters import clusters
from hf_stilts.augmentation.noise import KINDS, Noise, TextNoise

MULTYPO = {
    "en": "english", "de": "german", "fr": "french", "ru": "russian", "el": "greek", "ar": "arabic", "hi": "hindi",
    "bn": "bengali", "ta": "tamil", "hy": "armenian", "ka": "georgian", "he": "hebrew",
}  # fmt: skip
OPERATIONS = ("delete", "insert", "replace", "transpose")
LETTERS = {"keyboard": clusters, "multypo": list}
BLOCK = 50


def operation(old, new):
    """Name of an edit within a word, and its place; None where it is more than one."""
    place = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    if len(new) == len(old) - 1:
        return ("delete", place) if old[place + 1 :] == new[place:] else None
    if len(new) == len(old) + 1:
        return ("insert", place) if old[place:] == new[place + 1 :] else None
    if len(new) != len(old):
        return None
    if old[place : place + 2] == new[place : place + 2][::-1] and old[place + 2 :] == new[place + 2 :]:
        return "transpose", place
    return "replace", place


def errors(sentences, noisy, letters):
    """Number of errors within words, the share of each operation, mean place (first letter 0, end 1), mean length.

    `letters` gives those of a word.
    """
    found, places, lengths = Counter(), [], []
    for before, after in zip(sentences, noisy, strict=True):
        if len(before.split()) != len(after.split()):
            continue
        for old, new in zip(before.split(), after.split(), strict=True):
            edit = operation(letters(old), letters(new)) if old != new else None
            if edit:
                found[edit[0]] += 1
                places.append(edit[1] / len(letters(old)))
                lengths.append(len(old))
    total = sum(found.values())
    return total, [found[name] / total for name in OPERATIONS], fmean(places), fmean(lengths)


def timed(function, block, first):
    start = time.process_time()
    noisy = [function(sentence, first + number) for number, sentence in enumerate(block)]
    return noisy, time.process_time() - start


def measure(language, sentences, given):
    """Name of a kind, or of MulTypo -> its misspelt sentences, and its sentences a second: the best, and the first."""
    functions = {}
    for kind in given.kinds:
        noise = TextNoise(Noise(kind, given.level), language)
        functions[kind] = lambda text, number, noise=noise: noise(text, str(number))
    if language in MULTYPO and importlib.util.find_spec("multypo"):
        from multypo import MultiTypoGenerator

        random.seed(0)
        peer = MultiTypoGenerator(MULTYPO[language])
        functions["multypo"] = lambda text, number: peer.insert_typos(text, given.level)
    blocks = [sentences[start : start + BLOCK] for start in range(0, len(sentences), BLOCK)]
    seconds = {name: [[] for _ in blocks] for name in functions}
    noisy = {}
    for _ in range(given.rounds):
        noisy = {name: [] for name in functions}
        for number, block in enumerate(blocks):
            for name, function in functions.items():
                done, took = timed(function, block, number * BLOCK)
                noisy[name] += done
                seconds[name][number].append(took)
    best = {name: len(sentences) / sum(min(each) for each in found) for name, found in seconds.items()}
    first = {name: len(sentences) / sum(each[0] for each in found) for name, found in seconds.items()}
    return noisy, best, first


def read(path, limit):
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()][:limit]


def one(given):
    sentences = read(given.text, given.limit)
    noisy, best, first = measure(given.language, sentences, given)
    if "multypo" not in best:
        print("multypo is not installed, or has not this language: no peer.")
    words = fmean(len(sentence.split()) for sentence in sentences)
    print(f"{len(sentences)} sentences of {words:.1f} words, {given.level:.0%}, sentences a second of processor time:")
    for name, speed in best.items():
        ratio = f", {speed / best['multypo']:.1f} x multypo" if "multypo" in best else ""
        print(f"  {name:10} {speed:8.0f}, first {first[name]:8.0f}{ratio}")
    for name in ("keyboard", "multypo"):
        if name in noisy:
            total, shares, place, length = errors(sentences, noisy[name], LETTERS[name])
            said = ", ".join(f"{each} {share:.2f}" for each, share in zip(OPERATIONS, shares, strict=True))
            print(f"{name}: {total} errors: {said}; place {place:.2f}, word length {length:.2f}")


def folder(given):
    """Two tables in Markdown, which appear row by row: speeds, and behind them what the errors are."""
    compared, speeds = [], []
    print("| language | sentences | words | characters | a second | first | MulTypo |\n|---|---|---|---|---|---|---|")
    for path in sorted(given.folder.glob("*.txt")):
        sentences = read(path, given.limit)
        noisy, best, first = measure(path.stem, sentences, given)
        kind = given.kinds[0]
        speeds.append(best[kind])
        words, characters = (fmean(map(len, found)) for found in ([each.split() for each in sentences], sentences))
        peer = f"{best['multypo']:,.0f}" if "multypo" in best else ""
        print(f"| {path.stem} | {len(sentences)} | {words:.1f} | {characters:.0f} | {best[kind]:,.0f} "
              f"| {first[kind]:,.0f} | {peer} |", flush=True)  # fmt: skip
        for name in ("keyboard", "multypo"):
            if "multypo" in noisy and name in noisy:
                total, shares, place, length = errors(sentences, noisy[name], LETTERS[name])
                said = " | ".join(f"{share:.2f}" for share in shares)
                compared.append(f"| {path.stem}, {name} | {total:,} | {said} | {place:.2f} | {length:.1f} |")
    print(f"\nslowest {min(speeds):,.0f}, median {median(speeds):,.0f}\n")
    print(f"| | errors | {' | '.join(OPERATIONS)} | place | word length |\n|---|---|---|---|---|---|---|---|")
    print("\n".join(compared))


def evaluation(given):
    """The share of an evaluation on misspelt rows that is spent on misspelling them, measured inside of it."""
    from hf_stilts.evaluation import zero_shot as module

    spent = 0.0
    misspell = module.noisy

    def timed_noisy(*arguments):
        nonlocal spent
        start = time.process_time()
        found = misspell(*arguments)
        spent += time.process_time() - start
        return found

    module.noisy = timed_noisy
    noise = str(Noise(given.kinds[0], given.level))
    for language in given.languages.split(","):
        options = {"languages": [language], "limit": given.limit, "noise": noise}
        module.zero_shot(given.model, given.evaluate, **options)  # what is done once a process is done here
        spent, start = 0.0, time.process_time()
        module.zero_shot(given.model, given.evaluate, **options)
        total = time.process_time() - start
        print(f"{given.evaluate} {language}: {spent:.3f} of {total:.2f} s of processor time, {spent / total:.2%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, default=Path(__file__).parents[1] / "LICENSE")
    parser.add_argument("--language", default="en")
    parser.add_argument("--folder", type=Path, help="a file <language>.txt for each language")
    parser.add_argument("--evaluate", metavar="TASK", help="a task of which `--model` is evaluated")
    parser.add_argument("--model", help="a model for it, or an encoder for retrieval")
    parser.add_argument("--languages", default="en")
    parser.add_argument("--kinds", nargs="+", default=[kind for kind in KINDS if kind != "natural"])
    parser.add_argument("--level", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--limit", type=int, default=5000)
    given = parser.parse_args()
    if given.evaluate:
        evaluation(given)
    elif given.folder:
        folder(given)
    else:
        one(given)


if __name__ == "__main__":
    main()

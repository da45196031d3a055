"""Misspelling beside MulTypo, interleaved in one process: sentences a second of processor time, and kinds of errors.

    python benchmarks/noise.py --text english.txt                       # a sentence a line
    python benchmarks/noise.py --text russian.txt --language ru --level 0.3

MulTypo (pip install multypo) is the peer for the 12 languages that it has; without it ours runs alone. Both misspell
the same sentences one by one at the same level. The share of each operation, the place in the word and the length of
words are those of errors within a word: MulTypo also swaps the last letter of a word with the blank behind it.
"""

import argparse
import importlib.util
import random
import time
from collections import Counter
from pathlib import Path
from statistics import fmean, median

from hf_stilts.augmentation.noise import KINDS, Noise, TextNoise

MULTYPO = {
    "en": "english", "de": "german", "fr": "french", "ru": "russian", "el": "greek", "ar": "arabic", "hi": "hindi",
    "bn": "bengali", "ta": "tamil", "hy": "armenian", "ka": "georgian", "he": "hebrew",
}  # fmt: skip


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


def errors(sentences, noisy):
    """What the errors within words are."""
    found, places, lengths = Counter(), [], []
    for before, after in zip(sentences, noisy, strict=True):
        pairs = [*zip(before.split(), after.split(), strict=False)]
        if len(before.split()) == len(after.split()):
            for old, new in pairs:
                edit = operation(old, new) if old != new else None
                if edit:
                    found[edit[0]] += 1
                    places.append(edit[1] / len(old))
                    lengths.append(len(old))
    total = sum(found.values())
    shares = ", ".join(f"{name} {found[name] / total:.2f}" for name in ("delete", "insert", "replace", "transpose"))
    return f"{total} errors: {shares}; place {fmean(places):.2f}, word length {fmean(lengths):.2f}"


def timed(function, sentences):
    start = time.process_time()
    noisy = [function(sentence, number) for number, sentence in enumerate(sentences)]
    return noisy, len(sentences) / (time.process_time() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, default=Path(__file__).parents[1] / "LICENSE")
    parser.add_argument("--language", default="en")
    parser.add_argument("--level", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=int, default=5000)
    given = parser.parse_args()
    sentences = [line for line in given.text.read_text(encoding="utf-8").split("\n") if line.strip()][: given.limit]
    runs = {}
    for kind in KINDS:
        if kind != "natural":
            noise = TextNoise(Noise(kind, given.level), given.language)
            runs[kind] = lambda text, number, noise=noise: noise(text, str(number))
    if given.language in MULTYPO and importlib.util.find_spec("multypo"):
        from multypo import MultiTypoGenerator

        random.seed(0)
        peer = MultiTypoGenerator(MULTYPO[given.language])
        runs["multypo"] = lambda text, number: peer.insert_typos(text, given.level)
    else:
        print("multypo is not installed, or has not this language: no peer.")
    speeds = {name: [] for name in runs}
    noisy = {}
    for _ in range(given.rounds):
        for name, function in runs.items():
            noisy[name], speed = timed(function, sentences)
            speeds[name].append(speed)
    words = fmean(len(sentence.split()) for sentence in sentences)
    print(f"{len(sentences)} sentences of {words:.1f} words, {given.level:.0%}, sentences a second of processor time:")
    for name, each in speeds.items():
        ratio = f", {median(each) / median(speeds['multypo']):.1f} x multypo" if "multypo" in speeds else ""
        print(f"  {name:10} {median(each):8.0f}{ratio}")
    for name in ("keyboard", "multypo"):
        if name in noisy:
            print(f"{name}: {errors(sentences, noisy[name])}")


if __name__ == "__main__":
    main()

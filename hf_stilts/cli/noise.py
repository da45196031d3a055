"""Options of the commands that misspell rows: to score them, to train on them, to keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.options import ScoringOptions

NoiseOption = Annotated[
    str,
    typer.Option(
        help="KIND=LEVEL, as keyboard=0.1: a tenth of the words misspelt. Kinds: keyboard, character, natural, "
        "diacritics, case. With columns: keyboard=0.1:question."
    ),
]
NoiseLevels = Annotated[
    list[str] | None,
    typer.Option("--noise", help="Misspell the scored rows: keyboard=0.1; may be repeated. 0: no noise."),
]
NoiseSeeds = Annotated[
    list[int] | None, typer.Option(help="Random seed of words and errors; may be repeated. Default: 0.")
]
NoiseDictionaries = Annotated[Path | None, typer.Option(help=ScoringOptions.help_for("noise_dictionaries"))]


def noises_of(
    levels: list[str] | None, seeds: list[int] | None, dictionaries: Path | None = None
) -> list[dict[str, Any]]:
    """What scoring is told of each noise, of every level with every seed; of none where no level is given.

    Raises:
        StiltsError: a seed or dictionaries without a level, or a level that is none.
    """
    if not levels:
        if seeds or dictionaries:
            stray = "--noise-seed" if seeds else "--noise-dictionaries"
            raise StiltsError(f"{stray} is for noise, and no --noise was given. Type for example: --noise keyboard=0.1")
        return [{}]
    from hf_stilts.augmentation.noise import Noise

    found: list[dict[str, Any]] = []
    for level in levels:
        level = "keyboard=0" if level.strip() == "0" else level  # of whatever kind: it changes nothing
        natural = dictionaries if level.lstrip().startswith("natural") else None
        clean = Noise.parse(level, dictionaries=natural).level == 0
        for seed in [0] if clean else seeds or [0]:
            found.append({"noise": level, "noise_seed": seed, "noise_dictionaries": natural})
    return found


def misspelt(languages: str | None, noise: str | None, seed: int) -> str | None:
    """`--languages` of a training with `--noise`: `en=0.5,sw=0.5` and `keyboard=0.1` name the tags of misspelt rows.

    Raises:
        StiltsError: as `trained_noise`.
    """
    if noise is None:
        return languages
    from hf_stilts.augmentation.noise import noise_tag, trained_noise

    chosen = trained_noise(noise, seed)
    if not chosen.level:
        return languages
    parts = [part.strip().partition("=") for part in (languages or "en").split(",")]
    return ",".join(f"{noise_tag(code.strip(), chosen)}{equals}{share}" for code, equals, share in parts)

"""Options of scoring, declared once: `zero_shot` and `run_benchmark` take them as keywords, `evaluate` as flags.

Standard library only, so that a command finds a mistake in what was typed before torch is imported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from hf_stilts.errors import StiltsError
from hf_stilts.options import DATA_DIR_HELP, Options, option
from hf_stilts.task import Task

RETRIEVAL = ("layer", "best_layer", "pooling", "prefix", "precision")


@dataclass(frozen=True)
class ScoringOptions(Options):
    """How a model is scored in the languages of a task.

    Args:
        languages: two-letter codes; default: all that the task has, from the Hub all that are there (`Task.built`).
        available: leave out the languages whose rows are not there. By default a missing one is refused before
            anything is loaded.
        split: canonical split to score.
        limit: at most so many rows of each language; of BUCC so many sentences a side, of LAReQA and Mewsli-X so many
            queries, which are searched among all candidates.
        max_length: tokens per window. Default: what the published scripts use for the kind.
        trained_in: languages of the training rows (`de-t-en`: translated). Default: what the checkpoint's
            `stilts.json` or the Trainer says.
        layer: of tasks without a head, the hidden state that is pooled. Default: the last of a sentence-transformers
            model, else the papers'.
        best_layer: of tasks that score every hidden state (Tatoeba, FLORES): for each language take the hidden state
            with the highest mean accuracy in the other languages, on rows without noise. No language's own rows choose
            its hidden state. The rows of the table then have `layer` "best in other languages" and `hidden_state`.
        pooling: of tasks without a head, as in `hf_stilts.encode`.
        prefix: of tasks without a head, put before every text; or two, for sources or queries and for what answers
            them.
        precision: of tasks without a head, as in `hf_stilts.encode`: `fp32`, `bf16`, `int8`, or `auto`. Default: as the
            model is loaded, float32. Where it is not float32 the rows of the table have `precision`, the one used.
        data_dir: local mirror of the data sets.
        noise: how the rows are misspelt before they are scored, as `keyboard=0.1` (a tenth of the words; see
            `hf_stilts.augmentation.noise`), or with columns `keyboard=0.1:question`. The rows of the table then have
            `noise` and `noise_seed`. What a threshold is tuned on stays as it is. Level 0 is no noise.
        noise_seed: chooses words and errors.
        noise_dictionaries: for `natural` noise, file or folder of errors.
        answer_similarity: of questions, also score how alike the characters of answers are: `character_f1`,
            `edit_similarity` and `chrf`, as further rows of the table. Other kinds have none.

    Raises:
        StiltsError: a number below the least that an option takes.
    """

    LEAST = {"limit": 1, "max_length": 1}

    languages: tuple[str, ...] | None = option(
        None, "Languages, comma-separated; default: all of the task.", several="commas"
    )
    available: bool = option(False, "Score only the languages whose rows are available.")
    split: str = option("test", "Split: train, validation or test.")
    limit: int | None = option(None, "Maximum number of rows of each language.")
    max_length: int | None = option(
        None, "Maximum number of tokens of an input; default: that of the published scripts."
    )
    trained_in: tuple[str, ...] | None = option(
        None,
        "Languages of the training rows, comma-separated; default: those in the checkpoint's record.",
        several="commas",
    )
    layer: int | None = option(
        None, "Retrieval: hidden state, 0: embeddings; default: the last of a sentence encoder, else the papers'."
    )
    best_layer: bool = option(
        False, "Retrieval of translations: for each language the hidden state that is best in the other languages."
    )
    pooling: str | None = option(
        None, "Retrieval: mean, cls, ...; default: the pooling in the model's folder, else the papers'."
    )
    prefix: str | tuple[str, ...] | None = option(
        None,
        "Retrieval: text before every input, as 'query: '; given twice: before queries, before candidates.",
        several="again",
    )
    precision: Literal["auto", "fp32", "bf16", "int8"] | None = option(
        None, "Retrieval: auto, fp32, bf16 or int8; default: float32. auto: the fastest with the same directions."
    )
    data_dir: Path | None = option(None, DATA_DIR_HELP)
    noise: str | None = option(None, "Misspell the scored rows: keyboard=0.1. 0: no noise.")
    noise_seed: int = option(0, "Random seed of words and errors.")
    noise_dictionaries: Path | None = option(
        None, "For natural noise: a file, or a folder of <language>.tsv, with lines ERROR<tab>CORRECTION."
    )
    answer_similarity: bool = option(False, "Questions: also character F1, edit similarity and chrF of answers.")

    @property
    def retrieval(self) -> dict[str, Any]:
        """What was given of the options of tasks without a head, by name."""
        given = {name: getattr(self, name) for name in RETRIEVAL}
        return {name: value for name, value in given.items() if value is not None and value is not False}

    def check(self) -> None:
        """Refuse numbers that mean nothing, and two hidden states.

        Raises:
            StiltsError: the message names the options.
        """
        super().check()
        if self.best_layer and self.layer is not None:
            raise StiltsError(
                f"--best-layer chooses the hidden state, and --layer {self.layer} names it; one of them is expected. "
                "Leave out one."
            )

    def without_search(self) -> ScoringOptions:
        """The options without those of tasks without a head."""
        return replace(self, layer=None, best_layer=False, pooling=None, prefix=None, precision=None)

    def among_others(self, task: Task) -> ScoringOptions:
        """The options for one of several tasks: what only others take is left out."""
        if task.has_head:
            return self.without_search()
        return self if task.declaration.layered else replace(self, best_layer=False)

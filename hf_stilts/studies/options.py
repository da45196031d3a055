"""Options of benchmarks and studies, declared once.

Standard library only, so that a command finds a mistake in what was typed before torch is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hf_stilts.errors import StiltsError
from hf_stilts.evaluation.options import ScoringOptions
from hf_stilts.options import DATA_DIR_HELP, NAMESPACE_HELP, Options, check_mirror, flag_of, option
from hf_stilts.studies.study import Study, overridden
from hf_stilts.training.options import HELP, OPTIONS
from hf_stilts.training.start import DEFAULT_BASE


@dataclass(frozen=True)
class BenchmarkOptions(ScoringOptions):
    """How the targets of a benchmark are trained, and how they are scored (`ScoringOptions`).

    Args:
        base: public model: the start without `init`, else the one that `init` descends from. Default:
            `FacebookAI/xlm-roberta-base`.
        init: intermediate checkpoint by name (`"mnli"`); `None` is the baseline.
        tasks: some of the benchmark's; default: all.
        skip: what to leave out: a task (`"bucc2018"`), or languages of one (`"udpos:kk,yo"`).
        train_limit: at most so many rows are trained on.
        train_languages: languages of the training rows, as `--languages` of a training takes them; `"all"`: all that
            the trained task has. Default: English. The label says them, so that `gains` compares them as an arm.
        label: what tables call the start; runs of one label are seeds of each other. Default: "none" without `init`,
            else its name without base model and seed (`org/xlmr-stilts-mnli-seed7` is `mnli`).
        namespace: whose intermediate checkpoint.
        out: folder of the run. Default: `runs/<benchmark>-<base>[-from-<init>]`.
        recipe: profile of hyper-parameters.
        flags: stock `TrainingArguments` flags for every training, e.g. `["--max_steps", "500"]`.
        text_to_text: train an encoder-decoder (mT5) to answer with text, where a task can be answered so.
        adapter: `"lora"` or `"lora=32"`: of each target train that and the head, as `StiltsTrainer` does.

    Raises:
        StiltsError: a number below the least that an option takes.
    """

    LEAST = {**ScoringOptions.LEAST, "train_limit": 1}
    PANELS = {
        "Benchmark": ("base", "init", "tasks", "skip", "train_limit", "train_languages", "label", "out"),
        "Run": ("namespace",),
        "Training": ("recipe", "flags", "text_to_text", "adapter"),
    }

    base: str | None = option(None, f"Public model to start from; default: {DEFAULT_BASE}.")
    init: str | None = option(None, "Intermediate checkpoint to start from; without it: the baseline.")
    tasks: tuple[str, ...] | None = option(
        None, "Tasks of the benchmark, comma-separated; default: all.", several="commas"
    )
    skip: tuple[str, ...] = option((), "Leave out a task, or languages of a task: --skip udpos:kk,yo.", several="again")
    train_limit: int | None = option(None, "Maximum number of training rows.")
    train_languages: str | None = option(
        None, "Languages of the training rows: en,sw, or en=0.5,de-t-en=0.5, or all; default: en."
    )
    label: str | None = option(
        None, "Name of the start in tables, equal for all seeds; default: the checkpoint's name without its seed."
    )
    namespace: str | None = option(None, NAMESPACE_HELP)
    out: Path | None = option(None, "Folder of the run.", flag="--output-dir")
    recipe: str = option(OPTIONS["recipe"], HELP["recipe"])
    flags: tuple[str, ...] = option((), "Any field of transformers.TrainingArguments, for every training.")
    text_to_text: bool = option(OPTIONS["text_to_text"], HELP["text_to_text"])
    adapter: str | None = option(OPTIONS["adapter"], HELP["adapter"])


@dataclass(frozen=True)
class StudyOptions(Options):
    """What `study plan` and `study run` take alike."""

    LEAST = {"seeds": 1, "max_steps": 1, "limit": 1, "train_limit": 1}

    scale: Literal["full", "small"] = option("full", "full, or small: for one laptop.")
    base: tuple[str, ...] | None = option(
        None, "Public model or folder, instead of the study's; may be repeated.", several="again"
    )
    arms: tuple[str, ...] | None = option(
        None, "Only this arm of the study; may be repeated.", flag="--arm", several="again"
    )
    targets: tuple[str, ...] | None = option(
        None, "Tasks or benchmarks, comma-separated, instead of the study's.", several="commas"
    )
    languages: tuple[str, ...] | None = option(None, "Languages to score, comma-separated.", several="commas")
    seeds: int | None = option(None, "Number of seeds: 0, 1, ...")
    max_steps: int | None = option(None, "Number of optimizer steps of every training.")
    limit: int | None = option(None, "Maximum number of scored rows of each language.")
    train_limit: int | None = option(None, "Maximum number of training rows.")
    output_dir: Path | None = option(None, "Folder of the run; default: runs/study-NAME.")
    data_dir: Path | None = option(None, DATA_DIR_HELP)
    available: bool = option(False, "Leave out languages and cells whose rows are not available.")

    def check(self) -> None:
        """Refuse numbers that mean nothing, and a mirror that is not there: every cell would say so.

        Raises:
            StiltsError: a number.
            FileNotFoundError: the mirror.
        """
        super().check()
        check_mirror(self.data_dir)

    def changed(self, study: Study) -> Study:
        """The study with what was given in place of its own fields.

        Raises:
            StiltsError: as `overridden`.
        """
        return overridden(
            study,
            scale=self.scale,
            base=self.base,
            arms=self.arms,
            targets=self.targets,
            languages=self.languages,
            seeds=self.seeds,
            max_steps=self.max_steps,
            limit=self.limit,
            train_limit=self.train_limit,
        )

    def folder(self, study: str) -> Path:
        """Folder of the run of a study of this name."""
        return self.output_dir or Path(f"runs/study-{study}")


@dataclass(frozen=True)
class HubOptions(Options):
    """What `study run` does on the Hub: publishing, and jobs."""

    LEAST = {"max_price": 0.0}
    PANELS = {"Hub": ("namespace", "public", "publish_targets", "jobs", "max_price")}

    namespace: str | None = option(
        None, "Publish intermediate checkpoints to this user or organisation, and use those that are there."
    )
    public: bool = option(False, "Make new repositories public; default: private.")
    publish_targets: bool = option(False, "With --namespace: also publish the target models.")
    jobs: str | None = option(
        None, "Run each cell as a Hugging Face Job: flavor=a10g-small,timeout=4h,at_once=8; needs --namespace."
    )
    max_price: float | None = option(None, "With --jobs: US dollars that the study's jobs may cost, never passed.")

    def check(self) -> None:
        """As `Options`; and refuse what is of `--namespace` or `--jobs` without it.

        Raises:
            StiltsError: as `Options`; or an option without the one that it is of.
        """
        super().check()
        if self.max_price is not None and self.jobs is None:
            raise StiltsError("--max-price is of Hugging Face Jobs, and --jobs was not given. Add --jobs flavor=NAME.")
        if self.jobs is not None and not self.namespace:
            raise StiltsError(
                "--jobs keeps models and results on the Hub, and --namespace, which says whose they are, was not "
                "given. Add --namespace YOU."
            )
        stray = [name for name in ("public", "publish_targets") if getattr(self, name)]
        if stray and not self.namespace:
            raise StiltsError(
                f"{flag_of(stray[0])} is about what is published, and nothing is: --namespace was not given. Add "
                "--namespace YOU, or leave it out."
            )


@dataclass(frozen=True)
class SimilarityOptions(Options):
    """What `similarity` compares, and how."""

    LEAST = {"layer": 0, "limit": 1}
    PANELS = {
        "Text": ("split", "limit", "data_dir", "parallel"),
        "Measures": ("transliterate", "base", "encoder", "layer", "words", "table", "output"),
    }

    to: tuple[str, ...] = option(
        ("en",), "Languages that the others are compared with, comma-separated.", several="commas"
    )
    languages: tuple[str, ...] | None = option(
        None, "The others, comma-separated; default: all there are.", several="commas"
    )
    split: str = option("test", "Split of a task: train, validation or test.")
    limit: int | None = option(None, "Maximum number of texts of each language.")
    data_dir: Path | None = option(None, DATA_DIR_HELP)
    parallel: bool = option(False, "Text i of each language translates text i of the others; for chrF.")
    transliterate: bool = option(False, "Compare words and characters in Latin letters.")
    base: str | None = option(None, "Also compare the sub-words of this model's tokenizer.")
    encoder: str | None = option(None, "Also compare this model's vectors of parallel texts, as mPLM-Sim does.")
    layer: int | None = option(None, "Hidden state of --encoder; default: as in retrieval.")
    words: Path | None = option(None, "Also compare a word list: TSV, a language a column, a concept a line.")
    table: tuple[Path, ...] | None = option(
        None,
        "Measures from elsewhere: .jsonl, .tsv or .csv with columns first, second; may be repeated.",
        several="again",
    )
    output: Path | None = option(None, "Write the measures to this .jsonl file, for --table.")


@dataclass(frozen=True)
class ExplanationOptions(Options):
    """Whether similarity goes with gains: options of `similarity --explain`."""

    LEAST = {"bootstrap": 0}
    PANELS = {"Gains": ("explain", "measures", "outcome", "baseline", "bootstrap", "seed", "picture")}

    explain: tuple[Path, ...] | None = option(
        None, "Folder or file of results: how the measures go with gains; may be repeated.", several="again"
    )
    measures: tuple[str, ...] | None = option(
        None, "With --explain: measures, comma-separated; default: all.", several="commas"
    )
    outcome: Literal["gain", "score"] = option("gain", "With --explain: gains over --baseline, or scores.")
    baseline: str = option("none", "With --explain: the start that gains are over.")
    bootstrap: int = option(1000, "With --explain: bootstrap samples of languages; 0: none.")
    seed: int = option(0, "With --explain: random seed of the bootstrap.")
    picture: Path | None = option(
        None, "With --explain: draw gains over measures into this file (.png, .svg, .pdf); needs matplotlib."
    )

    def check(self) -> None:
        """As `Options`; and refuse what is of `--explain` without it.

        Raises:
            StiltsError: as `Options`; or `measures` or `picture` without results.
        """
        super().check()
        stray = [name for name in ("measures", "picture") if getattr(self, name)]
        if stray and not self.explain:
            raise StiltsError(
                f"{flag_of(stray[0])} is of --explain, which was not given. Type for example: --explain runs/mnli"
            )

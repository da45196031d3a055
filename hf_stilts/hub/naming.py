"""Names on the Hub: the repository, tag and search tags of a checkpoint, so that a task's name finds it again."""

import hashlib
import re
from collections.abc import Mapping, Sequence

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from hf_stilts.errors import StiltsError

DEFAULT_SEED = 42
"""The seed of stock `transformers.TrainingArguments`: a run with it gets no seed in its name."""

ADAPTER_SUFFIX = "-adapter"
TEXT_SUFFIX = "-text"
SEARCH_TAG = "stilts"
# Where the heads of a mixture or an adapter lie in a repository, one folder each; see hf_stilts/models/heads.py.
HEADS, HEAD_FILE = "heads", "head.safetensors"
# Where the Hub reads scores that it shows on the page of a model; this program's files begin so.
RESULTS_PREFIX = ".eval_results/stilts-"
PHASES = ("pretraining", "intermediate", "target")


def repo_id(
    namespace: str | None,
    base: str,
    tasks: Sequence[str],
    seed: int | None = None,
    languages: Mapping[str, int] | None = None,
    *,
    adapter: bool = False,
    text_to_text: bool = False,
) -> str:
    """Name the repository of a model trained from `base` on `tasks`: `<namespace>/<base>-stilts-<task>`.

    `base` is a model id or its last part. Several tasks are joined by ".", in the order given: "+" is illegal on the
    Hub, and "-" or "_" would be lost among those inside task names. `languages`, the training rows of each, are
    appended as `language_suffix` spells them, an `adapter` as `-adapter`, text-to-text as `-text`, and a seed other
    than the default 42 as `-seed<N>`. Without a namespace the bare name is returned; the Hub then takes the user's own.

    Raises StiltsError where the result is no legal Hub name.

    >>> repo_id("org", "FacebookAI/xlm-roberta-base", ["mnli"])
    'org/xlm-roberta-base-stilts-mnli'
    >>> repo_id("org", "xlm-roberta-base", ["mnli", "squad_v1"], seed=2)
    'org/xlm-roberta-base-stilts-mnli.squad_v1-seed2'
    >>> repo_id("org", "xlm-roberta-base", ["mnli"], languages={"de": 392702})
    'org/xlm-roberta-base-stilts-mnli-de'
    >>> repo_id("org", "xlm-roberta-base", ["mnli"], adapter=True)
    'org/xlm-roberta-base-stilts-mnli-adapter'
    >>> repo_id(None, "xlm-roberta-base", ["mnli"])
    'xlm-roberta-base-stilts-mnli'
    """
    if not tasks:
        raise StiltsError("No task was given. A published name ends in its tasks. Pass tasks=['mnli'] or a repo_id.")
    name = f"{base.rstrip('/').rsplit('/', 1)[-1]}-stilts-{'.'.join(tasks)}{language_suffix(languages or {})}"
    if adapter:
        name += ADAPTER_SUFFIX
    if text_to_text:
        name += TEXT_SUFFIX
    if seed is not None and seed != DEFAULT_SEED:
        name += f"-seed{seed}"
    return check_repo_id(f"{namespace}/{name}" if namespace else name)


def mixture_name(tasks: Sequence[str]) -> str:
    """Name a training on several tasks at once: their names joined, or of more than three a number and a fingerprint.

    The Hub allows 96 characters. The same tasks in another order have the same fingerprint.

    >>> mixture_name(["mnli", "squad_v2"])
    'mnli.squad_v2'
    >>> mixture_name(["mnli", "qqp", "ccg", "squad_v2"])
    '4-tasks-84ec5e'
    """
    if len(tasks) <= 3:
        return ".".join(tasks)
    return f"{len(tasks)}-tasks-{hashlib.sha256('.'.join(sorted(tasks)).encode()).hexdigest()[:6]}"


def language_suffix(rows: Mapping[str, int]) -> str:
    """Spell the languages of training rows: nothing for English alone, whole per cents where there are several.

    >>> language_suffix({"en": 10000}), language_suffix({"de": 10000}), language_suffix({"en": 2500, "sw": 7500})
    ('', '-de', '-25en.75sw')
    """
    present = {language: number for language, number in rows.items() if number}
    if len(present) > 1:
        total = sum(present.values())
        return "-" + ".".join(f"{100 * number / total:.0f}{language}" for language, number in present.items())
    return "".join(f"-{language}" for language in present if language != "en")


def check_repo_id(repo_id: str) -> str:
    """Return `repo_id` if the Hub allows it, a name with or without a namespace; raise StiltsError otherwise.

    >>> check_repo_id("me/my-model")
    'me/my-model'
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise StiltsError(f"{repo_id!r} is no name the Hub allows. {error} Pass another repo_id.") from error
    return repo_id


def step_tag(step: int) -> str:
    """Name the tag of the checkpoint saved after `step` optimizer steps.

    >>> step_tag(2000)
    'step-2000'
    """
    return f"step-{step}"


def step_of(tag: str) -> int | None:
    """Read the step out of a tag, or None where the tag is another one.

    >>> step_of("step-2000"), step_of("v1.0")
    (2000, None)
    """
    match = re.fullmatch(r"step-(\d+)", tag)
    return int(match[1]) if match else None


def search_tags(phase: str | None = None, tasks: Sequence[str] = ()) -> list[str]:
    """List the Hub tags that a card carries and `list_models(filter=...)` finds it by.

    >>> search_tags("intermediate", ["mnli"])
    ['stilts', 'stilts-phase-intermediate', 'stilts-task-mnli']
    """
    phases = [f"stilts-phase-{phase}"] if phase else []
    return [SEARCH_TAG, *phases, *(f"stilts-task-{task}" for task in tasks)]

"""Hands an encoder from one phase to the next: the body comes along, the head is new, and it says which is which."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import MODEL_FOR_MASKED_LM_MAPPING, PretrainedConfig, PreTrainedModel

from hf_stilts.errors import StiltsError
from hf_stilts.hub.checkpoints import resolve
from hf_stilts.hub.record import ParentModel
from hf_stilts.kinds import Kind, kind_for
from hf_stilts.models.body import LoadedBody, load_body, load_body_with_masked_lm
from hf_stilts.models.compatibility import check_start
from hf_stilts.models.heads import load_head
from hf_stilts.models.opened import OpenedCheckpoint, open_checkpoint
from hf_stilts.task import Task, load_task

logger = logging.getLogger(__name__)

# Classes whose pooler was trained as a part of the head: nothing above their last layer travels.
_HEADED = ("SequenceClassification", "MultipleChoice", "TokenClassification", "QuestionAnswering")


@dataclass(frozen=True)
class Transfer:
    """What one transfer carried.

    Attributes:
        source: repository id or folder that the body comes from.
        revision: commit of that repository; `None` for a folder.
        carried: number of tensors that came along.
        fresh: names of the parameters that start anew.
    """

    source: str
    revision: str | None
    carried: int
    fresh: tuple[str, ...]

    @property
    def parent(self) -> ParentModel:
        """Where the body came from, for the record: a folder by its last part only, so that no path leaves here."""
        if Path(self.source).is_dir():
            return ParentModel(id=Path(self.source).name, published=False)
        return ParentModel(id=self.source, commit=self.revision)

    def __str__(self) -> str:
        """Say it in one line."""
        at = f"@{self.revision[:8]}" if self.revision else ""
        return (
            f"{self.carried} tensors of the body come from {self.source}{at}; new: {', '.join(_modules(self.fresh))}."
        )


def load_intermediate(
    name: str,
    task: str | Task | None = None,
    *,
    base: str | None = None,
    namespace: str | None = None,
    seed: int | None = None,
) -> PreTrainedModel:
    """Encoder of a published intermediate checkpoint, by name.

    Args:
        name: `"mnli"`, `"mnli@step-2000"`, a repository id (`"org/model"`, `"org/model@revision"`) or a folder.
        task: `None` gives the body alone, as `AutoModel` does; a target task gives the stock model class of its kind
            with this body and a fresh head whose labels bear the task's names.
        base: public model that the checkpoint must descend from, where `name` is a task's.
        namespace: user or organisation that published it; default: `HF_STILTS_NAMESPACE`, then yourself.
        seed: the run's seed, where several were published.

    Returns:
        A stock transformers model in float32, in evaluation mode; `model.config._name_or_path` names its source,
        so `AutoTokenizer.from_pretrained(model.config._name_or_path)` gives its tokenizer.

    Raises:
        StiltsError: nothing of that name (the message lists what there is and the nearest); or a checkpoint of another
            architecture, size or tokenizer than `base`.
    """
    opened = open_checkpoint(resolve(name, base=base, namespace=namespace, seed=seed))
    check_start(opened, base)
    if task is None:
        return load_body(opened)[0]
    model, transfer = with_fresh_head(opened, load_task(task))
    logger.info("%s", transfer)
    return model


def with_fresh_head(
    source: str | OpenedCheckpoint,
    task: Task,
    *,
    revision: str | None = None,
    loaded: LoadedBody | None = None,
) -> tuple[PreTrainedModel, Transfer]:
    """Stock model for `task` whose body comes from `source` and whose head is new.

    The only door between two phases. A pooler that was trained under a task's head counts as part of that head; the
    pooler of a public pre-trained model travels, and so does what its masked-LM head and the new one share in stock
    transformers (ModernBERT's prediction layer). A masked-LM head is kept where `task` is masked language modelling,
    because that continues the same objective (Phang et al. 2020, section 2, "continuing MLM").

    Args:
        source: repository id or folder of a checkpoint with any head or none, or the opened checkpoint.
        task: what the head is for; its labels name the classes in the model's configuration.
        revision: commit of `source`.
        loaded: what `load_body_for` gives for this task among others, where several heads share one body.

    Returns:
        The model in float32 and what came along. The head is drawn from torch's generator: seed it before.

    Raises:
        StiltsError: another architecture, or a part of the body that `source` does not hold: a tagger of mT5 has no
            decoder, through which stock mT5 classifies and answers.
    """
    opened, kind = open_checkpoint(source, revision), kind_for(task)
    if task.text_to_text:
        model, transfer = _whole(opened, kind)
        smallest = min(dict(model.named_parameters()).items(), key=lambda named: named[1].numel())[0]
        model.untrained_head = (smallest,), _digest(model, (smallest,))  # a training moves every weight, this one too
        return model, transfer
    if task.declaration.pretraining and (continued := _continued(opened, task, loaded)):
        return continued
    loaded = loaded or load_body_for(opened, [task])
    config = copy.deepcopy(loaded.model.config)
    # The loss of an earlier head does not come along: stock refuses to load one logit for choices with classes' loss.
    config.update({"problem_type": None, **kind.head_config(task)})
    model = kind.model_class(config)(config)
    carried = _carry_body(opened, loaded, model)
    above = {} if _is_headed(opened) else _pretrained_above(loaded, model)
    model.load_state_dict(above, strict=False)
    prefix = f"{model.base_model_prefix}."
    fresh = tuple(
        name for name, _ in model.named_parameters() if name.removeprefix(prefix) not in carried and name not in above
    )
    model.untrained_head = fresh, _digest(model, fresh)
    return model.eval(), Transfer(opened.name, opened.commit, len(carried) + len(above), fresh)


def load_body_for(opened: OpenedCheckpoint, tasks: Iterable[Task]) -> LoadedBody:
    """Body for the heads of some tasks, with the masked LM that it came with where one of them wants its weights."""
    for task in tasks:
        masked_lm_class = _wanted_masked_lm(opened, task)
        if masked_lm_class is not None:
            return load_body_with_masked_lm(opened, masked_lm_class)
    return LoadedBody(*load_body(opened))


def load_trained(
    source: str | PreTrainedModel | OpenedCheckpoint, task: Task, *, revision: str | None = None
) -> tuple[PreTrainedModel, list[int] | None]:
    """Model with the head that it was trained with, and how its classes map onto the task's.

    Of a mixture's heads it is the one of the task, or of the task that trains it (MNLI's for XNLI).

    Returns:
        The model, and for each of the task's labels the index of the same label in the model's outputs
        (`None` where the order is already the task's, or the kind has no labels).

    Raises:
        StiltsError: the checkpoint has no trained head for this kind, the head of a model object is still as
            `with_fresh_head` drew it, or the labels are none that the task knows.
    """
    kind = kind_for(task)
    if isinstance(source, PreTrainedModel):
        names, drawn = getattr(source, "untrained_head", ((), None))
        if names and _digest(source, names) == drawn:
            raise StiltsError(
                f"The head of this model ({', '.join(_modules(names))}) is as it was drawn: its score on {task.name} "
                f"would be chance. Train it first: TargetTrainer(model, args, task={task.name!r}).train()"
            )
        return source, label_order(source.config, task)
    opened = open_checkpoint(source, revision)
    if opened.adapter:
        trained = _head_of_adapter(opened, task)
        return trained, label_order(trained.config, task)
    if task.text_to_text:
        return _whole(opened, kind)[0], None
    wanted = kind.model_class(opened.config)
    head = _head_of_mixture(opened, task) if opened.architecture != wanted.__name__ else None
    if head is not None:
        trained = load_head(opened, head, kind=kind)
        return trained, label_order(trained.config, task)
    model, missing = opened.load(wanted)
    untrained = sorted(name for name in missing if "pooler" not in name or "MultipleChoice" in wanted.__name__)
    if untrained:
        raise StiltsError(
            f"{opened.name} has no trained head for {task.name} ({', '.join(_modules(tuple(untrained)))} would be "
            f"random); expected a {wanted.__name__}. "
            f"Train one first: hf-stilts target {task.typed} --init {opened.name}"
        )
    return model, label_order(model.config, task)


def label_order(config: PretrainedConfig, task: Task) -> list[int] | None:
    """Index in the model's outputs of each of the task's labels, matched by name or alias.

    >>> nli = Task(kind="text-classification", dataset="x/y", labels=("entailment", "contradiction"),
    ...            aliases={"contradictory": "contradiction"})
    >>> label_order(PretrainedConfig(id2label={0: "contradictory", 1: "entailment"}), nli)
    [1, 0]

    Raises:
        StiltsError: the model's labels have no names (`LABEL_0`), or other names.
    """
    if not task.labels or task.text_to_text:
        return None
    names = [str(config.id2label[index]) for index in range(config.num_labels)]  # some models have numbers
    if tuple(names) == task.labels:
        return None
    folded = {label.lower(): label for label in task.labels} | {
        alias.lower(): label for alias, label in task.aliases.items()
    }
    named = [folded.get(name.lower()) for name in names]
    if None in named or sorted(map(str, named)) != sorted(task.labels):
        raise StiltsError(
            f"The checkpoint was trained with labels ({', '.join(names)}); task {task.name} has "
            f"({', '.join(task.labels)}). Nothing was scored. Add aliases= to the task's file, or train a head: "
            f"hf-stilts target {task.typed} --init <checkpoint>"
        )
    return [named.index(label) for label in task.labels]


def _is_headed(opened: OpenedCheckpoint) -> bool:
    """Whether a task was trained upon the body, so that nothing above its last layer travels."""
    return opened.adapter is not None or any(head in opened.architecture for head in _HEADED)


def _wanted_masked_lm(opened: OpenedCheckpoint, task: Task) -> Any:
    """Stock class of the masked LM whose head the model for `task` takes weights from; None where it takes none."""
    if _is_headed(opened) or type(opened.config) not in MODEL_FOR_MASKED_LM_MAPPING:
        return None
    if task.declaration.pretraining:
        return None if _head_of_mixture(opened, task) else kind_for(task).model_class(opened.config)
    masked_lm = MODEL_FOR_MASKED_LM_MAPPING[type(opened.config)]
    head = kind_for(task).model_class(opened.config)
    shared = _names_above(head, opened.config) & _names_above(masked_lm, opened.config)
    return masked_lm if shared else None


_NAMES_ABOVE: dict[tuple[type[PreTrainedModel], str], set[str]] = {}


def _names_above(model_class: type[PreTrainedModel], config: PretrainedConfig) -> set[str]:
    """`_above` of a model of this class, found once for each configuration: it takes as long as making the model."""
    key = model_class, config.to_json_string(use_diff=False)
    if key not in _NAMES_ABOVE:
        with torch.device("meta"):
            _NAMES_ABOVE[key] = _above(model_class(copy.deepcopy(config)))
    return _NAMES_ABOVE[key]


def _above(model: PreTrainedModel) -> set[str]:
    """Names of a model's weights that are none of its body's."""
    return {name for name in model.state_dict() if not name.startswith(f"{model.base_model_prefix}.")}


def _pretrained_above(loaded: LoadedBody, model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Weights above the body that stock loading of a masked LM under this head would find: by the same name in both."""
    if loaded.masked_lm is None:
        return {}
    shared = _above(model) & _above(loaded.masked_lm) - loaded.masked_lm_missing
    state = loaded.masked_lm.state_dict()
    return {name: state[name] for name in model.state_dict() if name in shared}


def _carry_body(opened: OpenedCheckpoint, loaded: LoadedBody, model: PreTrainedModel) -> set[str]:
    """Copy a body's weights into that of a model with a new head; the names of those that came along.

    Raises:
        StiltsError: a weight of the body has no place in the model, or the model reads through one that is missing.
    """
    headed = _is_headed(opened)
    body, target = loaded.model, model.base_model
    state = {
        name: tensor
        for name, tensor in body.state_dict().items()
        if name not in loaded.missing and not (headed and "pooler" in name.split("."))
    }
    result = target.load_state_dict(state, strict=False)
    misfits = [name for name in result.unexpected_keys if "pooler" not in name.split(".") and "decoder" not in name]
    if misfits:
        raise StiltsError(
            f"{opened.name} is a {type(body).__name__} whose {misfits[0]} has no place in {type(model).__name__}. "
            "Nothing was transferred. Use a checkpoint of the same architecture."
        )
    names = set(target.state_dict())
    absent = sorted(name for name in loaded.missing if name in names and "pooler" not in name.split("."))
    if absent:
        raise StiltsError(
            f"{opened.name} ({opened.architecture}) does not hold {_modules(tuple(absent))[0]}, which "
            f"{type(model).__name__} reads through and which would start at random. Nothing was transferred. Use it "
            "for tagging or retrieval, which read the encoder alone, or start from a checkpoint that holds the whole "
            "body."
        )
    return names & set(state)


def _whole(opened: OpenedCheckpoint, kind: Kind) -> tuple[PreTrainedModel, Transfer]:
    """An encoder-decoder with all its weights, none of which is new."""
    if opened.adapter:
        raise StiltsError(
            f"{opened.name} is an adapter of an encoder; text-to-text answers need a whole encoder-decoder. Start from "
            "the model below it, or from a checkpoint that was trained with --text-to-text."
        )
    model, transfer = _continue_pretrained(opened, *opened.load(kind.model_class(opened.config)))
    if transfer.fresh:
        raise StiltsError(
            f"{opened.name} ({opened.architecture}) does not hold {_modules(transfer.fresh)[0]}, which "
            "text-to-text answers are written with. Nothing was transferred. Start from the public model, or from a "
            "checkpoint that was trained with --text-to-text."
        )
    return model, transfer


def _continued(
    opened: OpenedCheckpoint, task: Task, loaded: LoadedBody | None
) -> tuple[PreTrainedModel, Transfer] | None:
    """The masked LM that a checkpoint holds, whose head goes on too; None where another task was trained upon it."""
    head = _head_of_mixture(opened, task)
    if head is not None:
        model = load_head(opened, head, kind=kind_for(task), body=loaded.model if loaded else None)
        return _continue_pretrained(opened, model, set())
    if _is_headed(opened):
        return None
    if loaded is not None and loaded.masked_lm is not None:
        return _continue_pretrained(opened, loaded.masked_lm, loaded.masked_lm_missing)
    return _continue_pretrained(opened, *opened.load(kind_for(task).model_class(opened.config)))


def _continue_pretrained(
    opened: OpenedCheckpoint, model: PreTrainedModel, missing: Iterable[str]
) -> tuple[PreTrainedModel, Transfer]:
    fresh = tuple(sorted(missing))
    return model, Transfer(opened.name, opened.commit, len(model.state_dict()) - len(fresh), fresh)


def _head_of_mixture(opened: OpenedCheckpoint, task: Task) -> str | None:
    """Name of the task's head in a mixture, or of the task that trains it; None where there is no such head."""
    return next((name for name in (task.name, *task.train[-1:]) if name and opened.has_head(name)), None)


def _head_of_adapter(opened: OpenedCheckpoint, task: Task) -> PreTrainedModel:
    """Model of the one head that an adapter was trained with, whatever its task was called."""
    names = (*(opened.record.task_names[-1:] if opened.record else ()), task.name, *task.train[-1:])
    name = next((name for name in names if name and opened.has_head(name)), None)
    kind = kind_for(task)
    model = load_head(opened, name, kind=kind) if name else None
    if model is None or not isinstance(model, kind.model_class(model.config)):
        raise StiltsError(
            f"{opened.name} is an adapter with {f'a {type(model).__name__}' if model else 'no head'} beside it; "
            f"{task.name} expects a {task.kind} head. Train one first: hf-stilts target {task.typed} --init "
            f"{opened.name}"
        )
    return model


def _digest(model: PreTrainedModel, names: tuple[str, ...]) -> str:
    """Hash of some parameters, by which a head that was never trained is known again."""
    found = hashlib.blake2b(digest_size=16)
    parameters = dict(model.named_parameters())
    for name in names:
        if name in parameters:
            found.update(parameters[name].detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return found.hexdigest()


def _modules(parameters: tuple[str, ...]) -> list[str]:
    """Modules of these parameters, each once: `classifier.dense.weight` and `.bias` are `classifier.dense`."""
    return list(dict.fromkeys(name.rsplit(".", 1)[0] for name in parameters)) or ["nothing"]

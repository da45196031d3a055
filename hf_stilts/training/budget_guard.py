"""A warning at the start of a training that reads more or fewer examples than its recipe would."""

from __future__ import annotations

import logging
import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from hf_stilts.training.budget import Budget
from hf_stilts.training.recipes import Recipe

logger = logging.getLogger(__name__)


class BudgetGuard(TrainerCallback, ExportableState):
    """Warns where a training reads more or fewer examples than its recipe would, or in other batches.

    Args:
        recipe: what was asked for; None compares nothing.
        rows: examples of one pass over the training data; 0 where that is not known, and nothing is compared.
    """

    def __init__(self, recipe: Recipe | None = None, rows: int = 0) -> None:
        self.recipe = recipe
        self.rows = rows
        self.batch = 0

    def state(self) -> dict[str, Any]:
        """What `trainer_state.json` keeps: it knows the steps, but not all that makes a batch."""
        return {"args": {}, "attributes": {"batch": self.batch}}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Compare what will be trained with what the recipe says."""
        at_once = state.train_batch_size or args.train_batch_size  # auto_find_batch_size lowers the state's alone
        self.batch = at_once * args.gradient_accumulation_steps * args.world_size
        state.stateful_callbacks.setdefault(type(self).__name__, self.state())  # a stock checkpoint has no such entry
        if self.recipe is None or not self.rows or not state.is_world_process_zero:
            return
        planned = Budget(state.max_steps, self.batch)
        asked = Budget(math.ceil(self.rows / self.recipe.batch_size) * self.recipe.epochs, self.recipe.batch_size)
        share = planned.examples / asked.examples
        if planned.batch != asked.batch or not 0.99 < share < 1.01:
            logger.warning(
                "This run trains %s; the recipe (%s) trains %s on this data, of which that is %.3g %%.",
                *(planned, self.recipe.source, asked, 100 * share),
            )

"""Which hidden state and which pooling stood behind a published retrieval number, by name."""

import logging
from dataclasses import dataclass
from typing import Any

from hf_stilts.errors import did_you_mean
from hf_stilts.retrieval.hidden_states import encoder_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Profile:
    """A published choice: the hidden state by depth of the encoder, the pooling, and where that is written."""

    name: str
    layers: dict[int, int]
    pooling: str
    source: str

    def layer(self, depth: int) -> tuple[int, str]:
        """Index into `hidden_states` for an encoder with so many layers, and where it comes from.

        A depth without a published choice takes that of the deepest published one in proportion.

        >>> PROFILES["xtreme-tatoeba"].layer(24)
        (14, 'published for 24 layers')
        >>> PROFILES["xtreme-tatoeba"].layer(6)
        (4, 'scaled from 14 of 24 layers')
        """
        if depth in self.layers:
            return self.layers[depth], f"published for {depth} layers"
        deepest = max(self.layers)
        chosen = self.layers[deepest]
        return round(chosen * depth / deepest), f"scaled from {chosen} of {deepest} layers"

    def arguments(self, model: Any) -> dict[str, Any]:
        """What `encode` takes: `encode(model, tokenizer, sentences, **profile("phang2020").arguments(model))`."""
        setting = self.setting(model)
        logger.info("%(profile)s: hidden_states[%(layer)d], %(layer_from)s; %(pooling)s pooling", setting)
        return {"layers": setting["layer"], "pooling": self.pooling}

    def setting(self, model: Any) -> dict[str, Any]:
        """The choice as it stands in a result."""
        layer, origin = self.layer(encoder_of(model).config.num_hidden_layers)
        return {"profile": self.name, "layer": layer, "layer_from": origin, "pooling": self.pooling}


# XTREME keeps the last 12 hidden states (24 of them for Tatoeba with XLM-R large) and takes one by its place in that
# list: place 7 of the last 12 is hidden_states[8] of 13, but hidden_states[20] of the 25 that XLM-R large has.
PROFILES = {
    profile.name: profile
    for profile in (
        Profile("xtreme-tatoeba", {12: 8, 24: 14}, "mean", "XTREME, scripts/run_tatoeba.sh"),
        Profile("xtreme-bucc", {12: 8, 24: 20}, "mean", "XTREME, scripts/run_bucc2018.sh until October 2021"),
        Profile("xtreme-bucc-cls", {12: 8, 24: 20}, "cls", "XTREME, scripts/run_bucc2018.sh since commit 287a7b7"),
        Profile("jiant", {24: 14}, "mean", "jiant, retrieval_layer = 14 for both tasks"),
        Profile("phang2020", {24: 14}, "mean", "Phang et al. 2020: the 13th self-attention layer, counted from 0"),
    )
}


def profile(name: str) -> Profile:
    """The published choice of that name.

    >>> profile("phang2020").layer(24)[0]
    14

    Raises:
        ValueError: unknown name; the nearest one is suggested.
    """
    if name not in PROFILES:
        raise ValueError(f"No profile is called {name!r}. {did_you_mean(name, PROFILES)}")
    return PROFILES[name]

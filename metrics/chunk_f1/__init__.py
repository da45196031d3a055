"""F1 of chunks of tags, entities and raw parts of speech; an `evaluate` module and its numpy."""

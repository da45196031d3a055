"""The one error of the package that speaks to its user."""


class StiltsError(ValueError):
    """A mistake that the user can mend: says what was found, what was expected and what to type next."""

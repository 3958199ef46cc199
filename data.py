"""Problems."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One problem with a verifiable answer. `category` groups it in evaluation tables; `id` names it."""
    question: str
    answer: str
    category: str = ""
    id: str = ""

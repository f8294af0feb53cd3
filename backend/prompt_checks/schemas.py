"""What goes in and out of the routes of prompt checks."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, field_validator

from alignment.judges.prompt_checks import Expected
from backend.accounts.schemas import In, Out

MOST_LINES = 10_000_000
LAST_FROM_USER = "the last message must be the user's"

Category = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]+$")
]
Content = Annotated[str, StringConstraints(min_length=1, max_length=50_000)]


class CheckMessage(In):
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: Content


class PromptCheckIn(In):
    """A prompt and what a good answer to it keeps; without rules only whether it refuses is looked at."""

    category: Category = "General"
    prompt: Content | list[CheckMessage] = Field(description="The user's words, or chat messages that end with them.")
    expects: Expected = Expected()

    @field_validator("prompt")
    @classmethod
    def _of_the_user(cls, prompt: str | list[CheckMessage]) -> str | list[CheckMessage]:
        if isinstance(prompt, str):
            if not prompt.strip():
                raise ValueError("must not be blank")
        elif not prompt or len(prompt) > 100 or prompt[-1].role != "user":
            raise ValueError(LAST_FROM_USER)
        return prompt

    def messages(self) -> list[dict[str, Any]]:
        """The prompt as chat messages."""
        if isinstance(self.prompt, str):
            return [{"role": "user", "content": self.prompt}]
        return [message.model_dump() for message in self.prompt]


class PromptCheckOut(Out):
    id: uuid.UUID
    created_at: datetime
    category: str
    prompt: list[dict[str, Any]]
    expects: dict[str, Any] = Field(description="`rules`, names of installed `checks`, and whether to `refuse`.")


class CheckCategoryOut(BaseModel):
    """How many prompts of a category are checked by rules, and how many should be answered or refused."""

    category: str
    prompts: int
    with_rules: int
    refuse: int


class CheckCategoriesOut(BaseModel):
    """All of them, and what a check may ask: names of installed checks, and the fields of rules."""

    categories: list[CheckCategoryOut]
    installed: list[str]
    rules_schema: dict[str, Any]


class ChecksFileIn(In):
    lines: str = Field(max_length=MOST_LINES, description="JSON Lines, each as the body of POST /prompt-checks.")


class BadCheckLine(BaseModel):
    line: int
    reason: str


class ChecksImportOut(BaseModel):
    """What an import did: lines that cannot be used are left out and told, the first hundred of them."""

    added: int
    changed: int
    bad: int
    errors: list[BadCheckLine]

"""Oneself: who one is, one's projects and API tokens."""

from collections.abc import Iterator
from typing import Literal

from plumbline.client.line import Ref, id_of, optional_id
from plumbline.client.noun import Noun
from plumbline.client.schemas import MeOut, NewTokenOut, ProjectOut, TokenOut


class Account(Noun):
    """`client.account`."""

    def me(self) -> MeOut:
        """Who is asking, and which projects they are in."""
        return self._line.get("/me", MeOut)

    def projects(self) -> Iterator[ProjectOut]:
        """One's projects, and what one may do in each."""
        return self._line.pages("/projects", ProjectOut)

    def tokens(self) -> Iterator[TokenOut]:
        """One's API tokens, newest first."""
        return self._line.pages("/me/tokens", TokenOut)

    def make_token(
        self,
        name: str,
        *,
        project: Ref | None = None,
        role: Literal["owner", "researcher", "annotator"] | None = None,
        read_only: bool = False,
        only: Literal["feedback"] | None = None,
        days: int | None = None,
    ) -> NewTokenOut:
        """A new token, whose text is in this answer and never again; of one project, of at most a role, for reading
        only, for feedback only, or for some days, if so wanted."""
        body = {
            "name": name,
            "project_id": optional_id(project),
            "role": role,
            "read_only": read_only,
            "only": only,
            "days": days,
        }
        return self._line.post("/me/tokens", NewTokenOut, body)

    def revoke_token(self, token: Ref) -> None:
        """Afterwards the token opens nothing."""
        self._line.ask("DELETE", f"/me/tokens/{id_of(token)}")

"""What a site profile says of workshops."""

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from workbench.declared import Declared


class Workshops(Declared):
    """Who may hold workshops here, and how large."""

    trainers: list[str] = Field(
        [],
        description="Users who may hold workshops, by the names that they log in with; "
        "administrators may always. With 'login: {kind: codes}' anybody with a code may take any "
        "name, these too",
    )
    trainer_groups: list[str] = Field([], description="Members of one of these may hold workshops")
    capacity_max: Annotated[int, Field(ge=1, le=1000)] = Field(
        40, description="How many participants one workshop may have at most"
    )
    keep_days: PositiveInt = Field(
        30,
        description="So many days after its end a workshop is deleted, with the names of those who "
        "took part and their checks",
    )

    @model_validator(mode="after")
    def _names_are_names(self) -> Self:
        if "" in (*self.trainers, *self.trainer_groups):
            raise ValueError("a trainer or a group with an empty name is nobody")
        return self

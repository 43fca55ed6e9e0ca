"""The kind of model that everything declared in YAML becomes."""

from pydantic import BaseModel, ConfigDict


class Declared(BaseModel):
    """A model that refuses unknown keys and endless numbers, and never changes once read.

    Its errors never repeat the input, which may be a secret in the wrong place.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )

"""What every settings section has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One part's settings: frozen, keyword-only, and no key that the part does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())

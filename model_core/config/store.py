"""Settings of object stores; ``model_core.deadlines`` says how they reach whoever opens one."""

from typing import Annotated

from pydantic import Field

from model_core.config.base import Section, Unit
from model_core.deadlines import Limits


class StoreSettings(Section):
    """How long an object store may take, in every step that asks one; not part of what a run computes."""

    connect_seconds: Annotated[float, Unit("seconds")] = Field(Limits.connect_seconds, gt=0)
    """For a connection to be made."""
    read_seconds: Annotated[float, Unit("seconds")] = Field(Limits.read_seconds, gt=0)
    """Of silence, after which a request is sent again, three times at most."""
    total_seconds: Annotated[float, Unit("seconds")] = Field(Limits.total_seconds, gt=0)
    """For one operation with its repetitions, beside what its bytes take at the least rate."""
    least_bytes_per_second: Annotated[float, Unit("bytes/s")] = Field(Limits.least_bytes_per_second, gt=0)
    """A transfer that is slower over ``rate_window_seconds`` is given up."""
    rate_window_seconds: Annotated[float, Unit("seconds")] = Field(Limits.rate_window_seconds, gt=0)
    """Over which the rate is measured."""

    def limits(self) -> Limits:
        """The same for those who know no settings."""
        return Limits(**self.model_dump())

"""Schema of a training that starts from an earlier model."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from thermo_qc.config.base import Strict

__all__ = ["FreezingConfig", "StageConfig", "TransferConfig"]


class StageConfig(Strict):
    """A stage after the first: more layers are trained, usually at a smaller rate.

    `unfreeze` is the fraction of the layers, counted from the top (the head), or names of parts of the network, such as
    "decoder" or "encoder.layer4"; what was trained before stays so. `learning_rate_factor` multiplies the schedule's
    rate of everything that is trained in this stage.
    """

    epochs: PositiveInt
    unfreeze: Annotated[float, Field(gt=0, le=1)] | tuple[str, ...] = 1.0
    learning_rate_factor: PositiveFloat = 0.1

    @field_validator("unfreeze", mode="before")
    @classmethod
    def _one_part(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class FreezingConfig(Strict):
    """What of an earlier model, or of pretrained encoder weights, is kept while a network learns on.

    freeze: what is not trained at first; "encoder" is everything but the head in a network without an encoder. stages
    are the last epochs of `train.epochs`; the first part gets the rest. batch_norm: whether the running statistics of
    batch normalisation go on learning; frozen ones do so for `statistics_epochs` first.
    """

    freeze: Literal["none", "encoder", "all_but_head"] = "none"
    stages: tuple[StageConfig, ...] = ()
    batch_norm: Literal["train", "freeze_statistics"] = "train"
    statistics_epochs: NonNegativeInt = 0

    @model_validator(mode="after")
    def _statistics_that_freeze(self) -> Self:
        if self.statistics_epochs and self.batch_norm != "freeze_statistics":
            raise ValueError(
                f"statistics_epochs is {self.statistics_epochs}, but batch_norm is '{self.batch_norm}'; set batch_norm "
                "to freeze_statistics, or leave statistics_epochs out"
            )
        return self

    @model_validator(mode="after")
    def _something_to_unfreeze(self) -> Self:
        if self.stages and self.freeze == "none":
            raise ValueError("stages unfreeze layers, but freeze is 'none'; set freeze to encoder or all_but_head")
        return self

    @property
    def keeps(self) -> bool:
        """Whether something is to be kept as it is, of the start or from an epoch on."""
        return self.freeze != "none" or self.batch_norm != "train"

    @property
    def keeps_of_start(self) -> bool:
        """Whether something of the start is to be kept as it is from the first epoch on."""
        return self.freeze != "none" or (self.batch_norm != "train" and not self.statistics_epochs)

    def check_epochs(self, epochs: int, option: str) -> None:
        """Refuse stages that leave no epoch before them, and statistics that learn to the end.

        Raises
        ------
        ValueError
            With the way out; `option` names the section.
        """
        stages = sum(stage.epochs for stage in self.stages)
        if stages >= epochs:
            raise ValueError(
                f"{option}.stages take {stages} of {epochs} epochs and leave none for the part before them; give "
                "train.epochs more or the stages fewer"
            )
        if self.statistics_epochs >= epochs:
            raise ValueError(
                f"{option}.statistics_epochs is {self.statistics_epochs} of {epochs} epochs, and nothing would be "
                "frozen; give train.epochs more or statistics_epochs fewer"
            )


class TransferConfig(FreezingConfig):
    """Start from a model file or run folder (`from`), or keep what pretrained encoder weights know."""

    source: str | None = Field(default=None, alias="from", min_length=1)

    @model_serializer(mode="wrap")
    def _as_in_the_file(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Give `source` its name in the file, in its place."""
        return {"from" if name == "source" else name: value for name, value in handler(self).items()}

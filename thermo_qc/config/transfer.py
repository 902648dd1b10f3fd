"""Schema of a training that starts from an earlier model."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
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
    batch normalisation go on learning.
    """

    freeze: Literal["none", "encoder", "all_but_head"] = "none"
    stages: tuple[StageConfig, ...] = ()
    batch_norm: Literal["train", "freeze_statistics"] = "train"

    @model_validator(mode="after")
    def _something_to_unfreeze(self) -> Self:
        if self.stages and self.freeze == "none":
            raise ValueError("stages unfreeze layers, but freeze is 'none'; set freeze to encoder or all_but_head")
        return self

    @property
    def keeps(self) -> bool:
        """Whether something of the start is to be kept as it is."""
        return self.freeze != "none" or self.batch_norm != "train"

    def check_epochs(self, epochs: int, option: str) -> None:
        """Refuse stages that leave no epoch before them.

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


class TransferConfig(FreezingConfig):
    """Start from a model file or run folder (`from`), or keep what pretrained encoder weights know."""

    source: str | None = Field(default=None, alias="from", min_length=1)

    @model_serializer(mode="wrap")
    def _as_in_the_file(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Give `source` its name in the file, in its place."""
        return {"from" if name == "source" else name: value for name, value in handler(self).items()}

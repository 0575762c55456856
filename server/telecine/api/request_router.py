"""Which model makes a request's video, and in which tier."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from telecine.api.model_catalog import ModelCatalog
from telecine.api.request_validation import parse_model_name
from telecine.config import RouterSettings
from telecine.errors import PermissionDeniedError
from telecine.jobs.fair_scheduler import tier_word
from telecine.v1 import model_pb2, video_pb2

Tier: TypeAlias = video_pb2.Tier.ValueType

_COLLECTION = "models/"


class RequestRouter:
    """Finds models by name, by alias and by default.

    Args:
        catalog: the models that there are.
        settings: the aliases.
        default_model: id or alias of the model of a request that names none.
    """

    def __init__(
        self, catalog: ModelCatalog, settings: RouterSettings, *, default_model: str
    ) -> None:
        self._catalog = catalog
        self._default_model = _COLLECTION + default_model
        self._candidates = {
            _COLLECTION + alias: _names(models) for alias, models in settings.aliases.items()
        }
        self._aliases = _turned_round(settings.aliases)

    async def find_model(self, name: str, *, field: str) -> model_pb2.Model:
        """Returns the model that serves a request for `name`, or for none.

        Of an alias of several models that is the first that a live worker serves; where none is
        served, the first that is known: its videos wait.

        Raises:
            InvalidFieldError: there is none; it names `field` and the models there are.
            UnavailableError: no worker has ever announced a model.
        """
        if name:
            parse_model_name(name, field=field)
        return await self._catalog.find(
            await self.name_of(name or self._default_model), field=field
        )

    async def name_of(self, name: str) -> str:
        """Returns the name of the model that an alias stands for now; other names as they are."""
        known = await self._catalog.find_known(self._candidates.get(name, ()))
        ready = (model for model in known if model.state == model_pb2.Model.STATE_READY)
        first = next(ready, known[0] if known else None)
        return name if first is None else first.name

    def is_default(self, model: model_pb2.Model) -> bool:
        """Whether a request that names no model gets this one, as long as a worker has it."""
        default = self._default_model.removeprefix(_COLLECTION)
        return model.name == self._default_model or default in model.aliases

    def with_aliases(self, model: model_pb2.Model) -> model_pb2.Model:
        """Returns the model as clients are shown it."""
        model.aliases.extend(self._aliases.get(model.name, ()))
        return model


def with_tier(spec: video_pb2.VideoSpec, tiers: Sequence[Tier]) -> video_pb2.VideoSpec:
    """Returns the spec with one of a tenant's tiers, the first where it names none.

    Args:
        spec: what is asked for.
        tiers: those that the tenant has; none stands for all.

    Raises:
        PermissionDeniedError: it names another one.
    """
    if not tiers or spec.tier in tiers:
        return spec
    if spec.tier == video_pb2.TIER_UNSPECIFIED:
        routed = video_pb2.VideoSpec()
        routed.CopyFrom(spec)
        routed.tier = tiers[0]
        return routed
    # A number that is no tier is the request's fault, not the caller's.
    if spec.tier in video_pb2.Tier.values():
        allowed = ", ".join(tier_word(tier).upper() for tier in tiers)
        raise PermissionDeniedError(f"this tenant has {allowed} only", field="spec.tier")
    return spec


def _names(models: str | Sequence[str]) -> tuple[str, ...]:
    ids = (models,) if isinstance(models, str) else models
    return tuple(_COLLECTION + model for model in ids)


def _turned_round(aliases: Mapping[str, str | Sequence[str]]) -> dict[str, list[str]]:
    """Returns the aliases of each model, by its name."""
    turned: dict[str, list[str]] = {}
    for alias, models in sorted(aliases.items()):
        for name in _names(models):
            if name != _COLLECTION + alias:
                turned.setdefault(name, []).append(alias)
    return turned

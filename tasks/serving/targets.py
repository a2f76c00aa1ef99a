"""Which server is meant, and which model it shall serve: the words that the tasks of models share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from runbook.errors import TaskFailed
from runbook.host import Host
from runbook.task import Params
from runbook.units import Secret, revealed

from .adapters import Adapter, Address, Served
from .modelfile import look
from .samples import body_of, raw, zeros
from .simple import Simple
from .torchserve import TorchServe
from .v2 import V2
from .words import Url

Version = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]


class Service(Params):
    """A server of models; `simple` is one with `GET /version`, `v2` Triton, KServe or MLServer."""

    url: Url = Field(description="the server's base address, as http://localhost:8000; of TorchServe the management's")
    adapter: Literal["simple", "v2", "torchserve"] = Field(
        "simple", description="what kind of server: `simple` has GET /version, `v2` is Triton, KServe or MLServer"
    )
    model: str | None = Field(None, description="the model's name, where a server has several", pattern=r"^[\w.-]+$")
    version: Version | None = Field(None, description="its version, where a server goes by versions")
    inputs: tuple[dict[str, Any], ...] = Field((), description="what an inference of `v2` is given; zeros without it")
    predict_url: Url | None = Field(None, description="the address of predictions, if it is another (TorchServe: 8080)")
    api_key: Secret | None = Field(None, description="its key: `X-API-Key` of `simple`, a bearer token of the others")

    @field_validator("url", "predict_url")
    @classmethod
    def _base(cls, url: Any) -> Any:
        return Secret(url.reveal().rstrip("/")) if isinstance(url, Secret) else url and url.rstrip("/")

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.adapter != "simple" and self.model is None:
            raise ValueError(f"the adapter {self.adapter} needs `model`, the model's name there")
        return self

    @property
    def base(self) -> str:
        return str(revealed(self.url))


def asking(want: Service, timeout: float, host: Host) -> Adapter:
    """Give the server, to be asked what it serves."""
    predict_url = str(revealed(want.predict_url)) if want.predict_url else ""
    at = Address(want.base, want.model or "", predict_url, want.api_key, timeout)
    if want.adapter == "v2":
        return V2(at, want.version, want.inputs)
    if want.adapter == "torchserve":
        return TorchServe(at, want.version)
    return Simple(host, at)


def wanting(adapter: Adapter, path: Path | None, served: Served, host: Host) -> Adapter:
    """Give the server with the model that it shall serve; of a file, as far as it can be seen from here."""
    if isinstance(adapter, TorchServe):
        return TorchServe(adapter.at, adapter.version, str(path) if path else None)
    if isinstance(adapter, Simple) and path is not None:
        seen = look(host, path if path.is_absolute() else host.cwd / path, shared=_is_here(host, served))
        return Simple(host, adapter.at, seen)
    return adapter


def _is_here(host: Host, served: Served) -> bool:
    """Say whether the file that is served is seen from here, so that any other would be as well."""
    path = Path(served.model_path or "")
    try:
        return path.is_absolute() and host.stat(path) is not None
    except TaskFailed:  # it may not be looked at: then it is not seen
        return False


def sample_for(adapter: Adapter, host: Host, sample: Path | None, array: list[Any] | None) -> tuple[bytes, str]:
    """Give a prediction's body and content type: of the sample, the array, or zeros where the server says which."""
    import json

    if isinstance(adapter, TorchServe):
        if sample is None:
            raise TaskFailed("TorchServe does not say what its models take", hint="give a `sample`")
        return raw(host, sample)
    if isinstance(adapter, V2):
        if sample is not None:
            return raw(host, sample)[0], "application/json"
        if adapter.inputs:
            return adapter.body()
        return adapter.body(adapter.served(host.ask).told)
    if sample is not None:
        return body_of(host, sample)
    if array is None:
        array = zeros(adapter.served(host.ask).told.get("input_shape"))
    return json.dumps({"array": array}).encode(), "application/json"
